"""The API's description. Out: /openapi.json and the reference page, made from one table of endpoints."""
