"""The layer between the network and the dashboard: which requests are answered, and for whom.

How a server is shared is told in docs/guide.md, and what it withstands in docs/threat_model.md.

`hosts`, `tokens`, `headers` and `rules` decide, and know neither streamlit nor a clock; `settings` reads the
configuration; `guard` is the ASGI layer and has the page that asks for the token.
"""
