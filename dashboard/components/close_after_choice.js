// The list of a field that takes several stays open after a choice and covers the page: here it closes, as for a
// field that takes one. The field keeps the focus, so that typing, an arrow key or a click opens it again.
function closeAfterChoice(keys) {
  const fields = keys.map((key) => `[class*="st-key-${key}"] input[aria-expanded=true]`).join(",");
  const close = () => {
    const field = document.querySelector(fields);
    field?.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true, cancelable: true }));
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[role=option]")) setTimeout(close);
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches?.(fields)) setTimeout(close);
  }, true);
}
