// Keys of a dialog: Tab reaches its pictures, which lie in trees of their own that its trap for the focus does not
// see; in the dialog that asks for one thing arrow keys go through what it lists, and turn no page behind it.
const TABBABLE = "a[href], button:not([disabled]), input:not([disabled]), textarea:not([disabled]), [tabindex]";
const OWN_ARROWS = "input, [role=listbox], [data-testid^=stBidiComponent]"; // hear arrow keys themselves

function tabbable(root) {
  return [...root.querySelectorAll("*")].flatMap((node) => {
    const isStop = node.matches(TABBABLE) && node.tabIndex >= 0 && node.getClientRects().length;
    return [...(isStop ? [node] : []), ...(node.shadowRoot ? tabbable(node.shadowRoot) : [])];
  });
}

function focusedNode() {
  let node = document.activeElement;
  while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  return node;
}

function goByTab(dialog, event) {
  const stops = tabbable(dialog);
  const at = stops.indexOf(focusedNode());
  if (at < 0) return;
  const next = stops.at((at + (event.shiftKey ? -1 : 1)) % stops.length);
  if ([stops[at], next].every((node) => node.getRootNode() === document)) return; // the dialog does it
  event.preventDefault();
  event.stopImmediatePropagation();
  next.focus();
}

// In the field itself once it is empty and closed, which then has nothing to choose from by arrows.
function isDone(field) {
  return field && !field.value && field.getAttribute("aria-expanded") !== "true";
}

// Down and up go through what a dialog lists below its field, which with its own button makes two.
function goByArrow(dialog, event) {
  const stops = tabbable(dialog);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || stops.length < 3) return false;
  event.preventDefault();
  stops[stops.indexOf(focusedNode()) + step]?.focus();
  return true;
}

function dialogKeys(asking) {
  const onKey = (event) => {
    const dialog = document.querySelector("[role=dialog]");
    if (!dialog || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Tab") goByTab(dialog, event);
    const field = dialog.querySelector(`.st-key-${asking} input`);
    if (!event.key.startsWith("Arrow") || !field) return;
    const hears = event.composedPath().some((node) => node instanceof Element && node.matches(OWN_ARROWS));
    const goes = (!hears || (event.target === field && isDone(field))) && goByArrow(dialog, event);
    if (goes || !hears) event.stopImmediatePropagation();
  };
  window.addEventListener("keydown", onKey, true);
}
