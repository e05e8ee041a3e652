"""What the guard tells the pages of who is looking: two headers, which no browser can send itself."""

ACCESS, BROWSER = "x-peregrine-access", "x-peregrine-browser"
FULL, GUEST = "full", "guest"
