// A dialog that asks for one thing begins with the focus in its field, so that a reader types at once.
function focusField(key) {
  let shown = null;
  new MutationObserver(() => {
    const field = document.querySelector(`[role=dialog] .st-key-${key} input`);
    if (field !== shown) field?.focus(); // once, when it appears
    shown = field;
  }).observe(document.body, { subtree: true, childList: true });
}
