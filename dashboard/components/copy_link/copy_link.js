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

function link(study) {
  const address = new URL(window.location.href);
  if (study && !address.searchParams.has("study")) address.searchParams.set("study", study);
  return address.href;
}

export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  const said = parentElement.querySelector(".said");
  let clearing;
  button.onclick = async () => {
    const done = await copy(link(data?.study));
    button.focus();
    said.textContent = done ? "Copied" : "Copy the address bar instead";
    clearTimeout(clearing);
    clearing = setTimeout(() => (said.textContent = ""), 4000);
  };
}

// Streamlit puts what a widget of every page (the study's selector) is tied to behind the query of each link,
// which names it already: the address would grow by one study with each click in the sidebar.
function withoutRepeats(url) {
  if (url === undefined || url === null) return url;
  const address = new URL(url, window.location.href);
  const studies = address.searchParams.getAll("study");
  if (studies.length < 2) return url;
  address.searchParams.set("study", studies[0]); // and drops the others
  return address.href;
}

for (const name of window.history.tidied ? [] : ["pushState", "replaceState"]) {
  window.history.tidied = true; // once, also where this file is loaded again
  const plain = window.history[name];
  window.history[name] = function (state, title, url) {
    return plain.call(this, state, title, withoutRepeats(url));
  };
}
