// What was just done is said on its page: on the next one it is hidden, where Streamlit keeps it until that is drawn.
function keepToastsOnTheirPage() {
  let page = window.location.pathname;
  const follow = () => {
    if (window.location.pathname === page) return;
    page = window.location.pathname;
    for (const toast of document.querySelectorAll(".peregrine-said")) toast.style.display = "none";
  };
  const { history } = window;
  const push = history.pushState;
  history.pushState = function (...given) {
    push.apply(this, given);
    follow();
  };
  window.addEventListener("popstate", follow, true);
}
