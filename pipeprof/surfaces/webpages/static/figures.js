// Draws figures into the places that the page has for them, and again when a view is chosen, the
// theme changes or the page is printed. What they show was made in Python.

const CONFIG = {
  displaylogo: false,
  responsive: true,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "toImage"],
};
const PRINTED_WIDTH = 680;

const dark = window.matchMedia("(prefers-color-scheme: dark)");
let printing = false;

function template(templates) {
  const chosen = document.documentElement.dataset.theme;
  const isDark = !printing && (chosen ? chosen === "dark" : dark.matches);
  return templates[isDark ? "dark" : "light"];
}

/**
 * @param {ParentNode} root holds the places.
 * @param {Array} figures as Python's `to_plain` gives them.
 * @param {{light: object, dark: object}} templates Plotly's templates of both themes.
 * @returns {() => void} what takes the drawings away again.
 */
export function showFigures(root, figures, templates) {
  const drawn = new Set();

  const draw = (place, view) => {
    const plot = place.querySelector(".plot");
    const layout = structuredClone({ ...view.layout, autosize: true, template: template(templates) });
    Plotly.newPlot(plot, structuredClone(view.traces), layout, CONFIG);
    drawn.add(plot);
  };

  // One after another, so that the first one is seen while the others are drawn.
  const waiting = figures.map((figure) => () => {
    const section = root.querySelector(`[data-figure="${figure.key}"]`);
    const places = [...section.querySelectorAll(".view")];
    const show = (number) => {
      places.forEach((place, index) => { place.hidden = index !== number; });
      if (!drawn.has(places[number].querySelector(".plot"))) draw(places[number], figure.views[number]);
      else Plotly.Plots.resize(places[number].querySelector(".plot"));
    };
    const select = section.querySelector(".choose-view");
    select?.addEventListener("change", () => show(Number(select.value)));
    show(select ? Number(select.value) : 0);
  });
  let next;
  const drawNext = () => {
    waiting.shift()?.();
    if (waiting.length) next = setTimeout(drawNext);
  };
  drawNext();

  const relayout = (changes) => drawn.forEach((plot) => Plotly.relayout(plot, { ...changes, template: template(templates) }));
  const retheme = () => relayout({});
  const print = () => {
    clearTimeout(next);
    while (waiting.length) waiting.shift()();
    printing = true;
    relayout({ width: PRINTED_WIDTH });
  };
  const printed = () => { printing = false; relayout({ width: null, autosize: true }); };
  const themes = new MutationObserver(retheme);
  themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  dark.addEventListener("change", retheme);
  window.addEventListener("beforeprint", print);
  window.addEventListener("afterprint", printed);
  return () => {
    clearTimeout(next);
    themes.disconnect();
    dark.removeEventListener("change", retheme);
    window.removeEventListener("beforeprint", print);
    window.removeEventListener("afterprint", printed);
    drawn.forEach((plot) => Plotly.purge(plot));
  };
}
