// To another query of this page as Back leads there: every widget takes what the address says, or what it begins with.
function goHere(query) {
  window.history.pushState(null, "", `?${query}`);
  window.dispatchEvent(new PopStateEvent("popstate", { state: null }));
}

// Streamlit runs a link from a page to itself, and leaves the address and the widgets as they were.
function followLinksHere() {
  window.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-testid=stPageLink] a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    // As Streamlit writes it, from the root of the dashboard: a path that is empty is that of its first page.
    const [page, query] = (link.getAttribute("href") ?? "").split("?");
    if (page !== window.location.pathname.split("/").pop()) return;
    event.preventDefault();
    event.stopPropagation();
    goHere(query ?? "");
  }, true);
}
