// Where Streamlit keeps the theme of an address: "Light", "Dark" or "System", as JSON.
const key = (path) => `stActiveTheme-${path}-v2`;

function home() {
  return window.location.pathname.replace(/[^/]*$/, "");
}

function storedTheme() {
  try {
    return JSON.parse(window.localStorage.getItem(key(window.location.pathname))) ?? "System";
  } catch {
    return "System"; // nothing that Streamlit wrote, or storage that may not be read
  }
}

function keep(theme, pages) {
  for (const page of ["", ...pages]) window.localStorage.setItem(key(home() + page), JSON.stringify(theme));
}

function followSystem() {
  const self = {};
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    // The page's colours follow at once, charts when they are drawn again, once Streamlit knows of it.
    if (storedTheme() === "System") setTimeout(() => self.emit("system", system.matches ? "Dark" : "Light"), 200);
  };
  system.addEventListener("change", follow);
  self.stop = () => system.removeEventListener("change", follow);
  return self;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const buttons = [...parentElement.querySelectorAll("button")];
  const stored = storedTheme();
  const mark = (theme) => {
    for (const button of buttons) {
      const on = button.dataset.theme === theme;
      button.setAttribute("aria-checked", String(on));
      button.tabIndex = on ? 0 : -1;
    }
  };
  const choose = (button) => {
    if (button.dataset.theme === storedTheme()) return;
    keep(button.dataset.theme, data.pages);
    mark(button.dataset.theme);
    window.location.reload(); // Streamlit reads the theme only when a page is loaded
  };
  mark(buttons.some((button) => button.dataset.theme === stored) ? stored : "System");
  buttons.forEach((button, at) => {
    button.onclick = () => choose(button);
    button.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step || isShortcut(event)) return;
      event.preventDefault();
      event.stopPropagation();
      buttons[(at + step + buttons.length) % buttons.length].focus();
    };
  });
  const self = mounted(parentElement, followSystem); // a change of the theme draws this again
  self.emit = setTriggerValue;
  return () => {
    self.stop();
    instances.delete(parentElement);
  };
}
