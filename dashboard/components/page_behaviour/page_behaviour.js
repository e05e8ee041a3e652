let asked = "";

// To another query of this page as Back leads there: every widget takes what the address says, or what it begins with.
function goTo(query) {
  if (query && query !== asked) {
    window.history.pushState(null, "", `?${query}`);
    window.dispatchEvent(new PopStateEvent("popstate", { state: null }));
  }
  asked = query;
}

export default function ({ data }) {
  goTo(data.query);
  if (data.library) plotly(data.library).catch(() => {}); // the chart that needs it says so
  if (window.peregrineBehaviour) return; // once, also where this file is loaded again
  window.peregrineBehaviour = true;
  oneStepPerAction(data.kept);
  closeAfterChoice(data.closing);
  focusField(data.asking);
  keepPercentSigns();
  nameParts();
}
