export default function ({ data }) {
  if (window.peregrineBehaviour) return; // once, also where this file is loaded again
  window.peregrineBehaviour = true;
  oneStepPerAction(data.kept);
  closeAfterChoice(data.closing);
  focusField(data.asking);
  keepPercentSigns();
}
