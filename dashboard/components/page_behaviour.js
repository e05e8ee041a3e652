let asked = "";

export default function ({ data, setTriggerValue }) {
  if (data.query && data.query !== asked) goHere(data.query);
  asked = data.query;
  keepFigures(data.figures, (name) => setTriggerValue("figures", name));
  if (data.library) plotly(data.library).catch(() => {}); // the chart that needs it says so
  if (window.peregrineBehaviour) return; // once, also where this file is loaded again
  window.peregrineBehaviour = true;
  oneStepPerAction(data.kept);
  followLinksFromPopovers();
  followLinksHere();
  closeAfterChoice(data.closing);
  focusField(data.asking);
  dialogKeys(data.asking);
  nameFindOption(data.asking);
  focusPopovers();
  focusMovedFigures();
  keepPercentSigns();
  nameParts();
  saveByKeys();
  keepToastsOnTheirPage();
}
