const COLLAPSE = "[data-testid=stSidebarCollapseButton]"; // only there while the sidebar is open
const EXPAND = "[data-testid=stExpandSidebarButton]"; // only there while it is folded, in the header
const KEPT = "stSidebarCollapsed-"; // Streamlit keeps here what a reader chose

function choices() {
  return Object.fromEntries(Object.entries(window.localStorage).filter(([key]) => key.startsWith(KEPT)));
}

// Press Streamlit's button, and take back that it remembers this as the reader's choice.
function fold() {
  const button = document.querySelector(`${COLLAPSE} button`);
  if (!button) return;
  const before = choices();
  button.click();
  for (const key of Object.keys(choices())) {
    if (key in before) window.localStorage.setItem(key, before[key]);
    else window.localStorage.removeItem(key);
  }
}

function watch(narrow) {
  const self = { opened: false };
  const refold = () => {
    if (narrow.matches && !self.opened) fold();
  };
  // Streamlit unfolds it when the window's width changes; only the reader's own click opens the drawer.
  const observer = new MutationObserver(refold);
  const noteClick = ({ target }) => {
    if (target.closest?.(EXPAND)) self.opened = true;
    else if (target.closest?.(COLLAPSE)) self.opened = false;
  };
  const header = document.querySelector("[data-testid=stHeader]");
  if (header) observer.observe(header, { childList: true, subtree: true });
  document.addEventListener("click", noteClick, true);
  narrow.addEventListener("change", refold);
  self.enter = (page) => {
    if (page === self.page) return;
    Object.assign(self, { page, opened: false });
    refold();
  };
  self.end = () => {
    observer.disconnect();
    document.removeEventListener("click", noteClick, true);
    narrow.removeEventListener("change", refold);
  };
  return self;
}

export default function ({ data, parentElement }) {
  const self = mounted(parentElement, () => watch(window.matchMedia(`(max-width: ${data.narrow}px)`)));
  self.enter(data.page);
  return () => {
    self.end();
    instances.delete(parentElement);
  };
}
