// Ctrl+Enter in the text of a popover, by which Streamlit takes the text over, also presses its main button: a note is
// saved.
function saveByKeys() {
  document.addEventListener("keydown", ({ key, ctrlKey, metaKey, target }) => {
    if (key !== "Enter" || !(ctrlKey || metaKey) || !target.matches?.("textarea")) return;
    const main = target.closest("[data-testid=stPopoverBody]")?.querySelector("[data-testid=stBaseButton-primary]");
    if (main) setTimeout(() => main.isConnected && !main.disabled && main.click());
  }, true);
}
