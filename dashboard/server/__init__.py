"""The layer between the network and the dashboard: which requests are answered, and for whom.

On one's own machine it needs no settings. To share a server in a lab:

    export PEREGRINE_TOKEN=$(python -c "import secrets; print(secrets.token_urlsafe())")
    export PEREGRINE_HOSTS=lab.example
    python -m core dashboard --host 0.0.0.0

`PEREGRINE_TOKEN` is the password of the server, 16 characters or more. Each browser is asked for it once and
keeps a cookie in its place for 30 days, which does not hold it. A script sends `Authorization: Bearer TOKEN`.
The token is never taken from an address, which stays in histories and logs. Without a token the server
refuses to start on any address that other machines reach; with one, it is asked for on localhost too.

`PEREGRINE_HOSTS` lists the names under which users open the server, separated by commas, with or without a
port. A name without a port stands for the usual port of http and https and for the port served. localhost,
127.0.0.1, [::1], the configured `server.address` and `browser.serverAddress`, and the numeric address at
which a request arrives need no entry. Any other name is refused, because a hostile site can give its own name
the address of this machine, and the user's browser then takes the dashboard for a part of that site.

Who has the token may do all that the owner may do in the browser. Token and cookie can be read on the way
without TLS: where the network is not trusted, put a proxy with TLS in front, or use an SSH tunnel.

`hosts`, `tokens`, `headers` and `rules` decide, and know neither streamlit nor a clock; `settings` reads the
configuration; `guard` is the ASGI layer; `login` is the page that asks for the token.
"""
