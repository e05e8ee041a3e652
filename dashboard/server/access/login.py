"""The page that asks for the server's token."""

from html import escape

STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; margin: 1rem }
body { display: grid; min-height: 90vh; place-content: center }
main { max-width: 26rem }
h1 { font-size: 1.4rem; margin: 0 0 0.5rem }
label { display: block; margin: 1rem 0 0.25rem }
input, button { font: inherit; padding: 0.5rem 0.75rem; box-sizing: border-box; width: 100% }
button { margin-top: 0.75rem }
.wrong { border-left: 4px solid #d55e00; padding-left: 0.75rem }
"""
# A link on another site brings no SameSite=Strict cookie along. Loaded again from here, the page brings it.
AGAIN = '<meta http-equiv="refresh" content="0">'


def login_page(problem: str = "", *, again: bool = False) -> str:
    """The page; `problem` is what went wrong with the last try, `again` lets it load itself once more."""
    wrong = f'<p class="wrong" role="alert">{escape(problem)}</p>' if problem else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{AGAIN if again else ""}
<title>Peregrine: token needed</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>Peregrine</h1>
<p>This server is shared. Its owner gives you the token (PEREGRINE_TOKEN); this browser is asked once.</p>
{wrong}
<form method="post">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Open</button>
</form>
</main>
</body>
</html>
"""
