// Loads the chart library while the server still computes the page.
export default function ({ data }) {
  plotly(data.library).catch(() => {}); // the charts say so
}
