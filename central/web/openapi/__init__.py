"""The API's description: a table of endpoints. Out: /openapi.json, from which the reference page is made."""
