"""The HTTP edge. Only this folder imports aiohttp.web. In: requests. Out: answers in one format (PRD 6.1).

The gate checks key, scope and limit before an endpoint is called.
"""
