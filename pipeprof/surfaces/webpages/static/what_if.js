// Shows what was predicted for the changes that a reader chooses. Every prediction was made in Python.

const MOST_CHANGES = 2;

/**
 * @param {ParentNode} root holds the section, whose picture is drawn.
 * @param {object} data as Python's `what_if_data` gives it.
 */
export function showWhatIf(root, { figure, predictions, nothing }) {
  const section = root.querySelector(`[data-figure="${figure.key}"]`);
  const plot = section.querySelector(".plot");
  const said = section.querySelector(".what-if-said");
  const selects = [...section.querySelectorAll(".what-if-controls select")];
  const [bars] = figure.views[0].traces;
  const most = figure.views[0].layout.xaxis.range[1];

  // The second bar shows the choice; the others stay.
  const withChosen = (values, value) => values.map((old, row) => (row === 1 ? value : old));

  const show = () => {
    const chosen = selects.flatMap(({ value }, number) => (value === "" ? [] : [`${number}:${value}`]));
    selects.forEach((select) => {
      select.disabled = select.value === "" && chosen.length >= MOST_CHANGES;
      select.title = select.disabled ? "Two changes at the most: set one of them back to 'as today'." : "";
    });
    const found = predictions[chosen.join(",")];
    said.textContent = found?.text ?? (chosen.length ? "These two do not go together." : nothing);
    const { ms, low, high, label } = found ?? { ms: bars.x[0], low: bars.x[0], high: bars.x[0], label: bars.text[0] };
    Plotly.update(plot, {
      x: [withChosen(bars.x, ms)],
      text: [withChosen(bars.text, label)],
      "error_x.array": [withChosen(bars.error_x.array, high - ms)],
      "error_x.arrayminus": [withChosen(bars.error_x.arrayminus, ms - low)],
    }, { "xaxis.range": [0, Math.max(most, 1.05 * high)] }, [0]);
  };
  selects.forEach((select) => select.addEventListener("change", show));
  if (selects.some(({ value }) => value !== "")) show();
}
