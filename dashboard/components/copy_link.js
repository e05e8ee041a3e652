// The clipboard of the browser works on https and on localhost only; a selected text field works anywhere.
async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // not allowed: try the other way
    }
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.setAttribute("readonly", "");
  field.style.cssText = "position:fixed;opacity:0";
  document.body.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } finally {
    field.remove();
  }
}

export default function ({ parentElement }) {
  const button = parentElement.querySelector("button");
  const said = parentElement.querySelector(".said");
  let clearing;
  button.onclick = async () => {
    const done = await copy(window.location.href);
    button.focus();
    said.textContent = done ? "Copied" : "Copy the address bar instead";
    clearTimeout(clearing);
    clearing = setTimeout(() => (said.textContent = ""), 4000);
  };
}
