"""Batches on disk. In: closed windows as batches. Out: the batch that is to be sent next; it goes when central has it.

The spool owns its folder, and each batch from its window until central's 201.
"""
