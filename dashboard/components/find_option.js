// In the field that goes to things by name, Streamlit offers to add a text that is no option: here it finds it.
const ADDS = "Add: ";

function nameFindOption(key) {
  const mend = () => {
    if (!document.querySelector(`.st-key-${key} input`)) return;
    const option = document.querySelector('[role=option][data-key="__creatable__"]');
    const texts = option ? document.createTreeWalker(option, NodeFilter.SHOW_TEXT) : null;
    for (let text = texts?.nextNode(); text; text = texts.nextNode()) {
      if (text.data.startsWith(ADDS)) text.data = `Find: ${text.data.slice(ADDS.length)}`;
    }
  };
  new MutationObserver(mend).observe(document.body, { subtree: true, childList: true, characterData: true });
}
