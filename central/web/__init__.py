"""The HTTP edge, and the only place that knows aiohttp.web. In: requests. Out: answers in one shape (PRD 6.1).

The gate checks key, scope and limit before an endpoint is called.
"""
