"""Batches on disk. In: closed windows as batches. Out: the batch to send next. It is removed when central has it.

The spool owns its folder, and each batch from the close of its window until central's 201.
"""
