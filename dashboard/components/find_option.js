// In the field that goes to things by name, Streamlit offers to add a text that is no option: here it finds it. It offers
// so first, and takes it on Enter; here Enter takes the first name that has the text, and finds where there is none.
const ADDS = "Add: ";
const FIND = '[role=option][data-key="__creatable__"]';

function nameFindOption(key) {
  let byArrow = false; // whether the reader went to an option by arrow keys since the last letter
  const fieldOf = (target) => target.closest?.(`.st-key-${key} input`);
  // By the key that a reader would press: what has the focus in a list is Streamlit's own state.
  const leaveFind = () => {
    const field = document.querySelector(`.st-key-${key} input`);
    const isAlone = document.querySelectorAll("[role=option]").length < 2;
    if (!field || byArrow || isAlone || !document.querySelector(`${FIND}[data-focused]`)) return;
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true, cancelable: true }));
  };
  const mend = () => {
    if (!document.querySelector(`.st-key-${key} input`)) return;
    const option = document.querySelector(FIND);
    const texts = option ? document.createTreeWalker(option, NodeFilter.SHOW_TEXT) : null;
    for (let text = texts?.nextNode(); text; text = texts.nextNode()) {
      if (text.data.startsWith(ADDS)) text.data = `Find: ${text.data.slice(ADDS.length)}`;
    }
    leaveFind();
  };
  const seen = { subtree: true, childList: true, characterData: true, attributeFilter: ["data-focused"] };
  new MutationObserver(mend).observe(document.body, seen);
  window.addEventListener("input", ({ target }) => fieldOf(target) && (byArrow = false), true);
  window.addEventListener("keydown", (event) => {
    if (!event.isTrusted || !fieldOf(event.target)) return;
    if (event.key === "Enter") leaveFind();
    else if (event.key.startsWith("Arrow")) byArrow = true;
  }, true);
}
