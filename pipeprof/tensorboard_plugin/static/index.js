// The tab: runs to choose on the one side, the report that Python made of them on the other.
// Names from runs are only ever set as text; HTML comes from the backend, which escapes them.

import { showFigures } from "./figures.js";

const REFRESH_MS = 5000;
const FAILED = {
  html: "<section class=message><h1>No answer</h1><p>TensorBoard does not answer. If it still runs, its terminal shows the error.</p></section>",
  figures: [],
};
const SUMMARIES_EACH = 20;

const state = { runs: [], templates: null, current: null, drawn: null, compared: [], summaries: {}, mostCompared: 2 };
let takeAway = () => {};
let list, content, compareButton, filter, visible, plotly;

async function ask(path, keys = []) {
  const query = new URLSearchParams(keys.map((key) => ["run", key]));
  const answer = await fetch(`./${path}?${query}`);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function load(name, properties) {
  return new Promise((resolve, reject) => {
    const element = make(name, { ...properties, onload: resolve, onerror: reject });
    document.head.append(element);
  });
}

// TensorBoard's own page is of the same origin and shows there whether it is dark.
function followTheme() {
  const outer = window.parent.document.body;
  const follow = () => {
    document.documentElement.dataset.theme = outer.classList.contains("dark-mode") ? "dark" : "light";
  };
  follow();
  new MutationObserver(follow).observe(outer, { attributeFilter: ["class"] });
}

function build() {
  filter = make("input", { type: "search", placeholder: "Filter runs", oninput: fillList });
  filter.setAttribute("aria-label", "Filter runs");
  compareButton = make("button", { type: "button", onclick: () => choose(null) });
  list = make("ul");
  content = make("main");
  const shelf = make("nav", { className: "shelf" }, make("div", { className: "shelf-head" }, filter, compareButton), list);
  shelf.setAttribute("aria-label", "Runs");
  document.body.replaceChildren(make("div", { className: "tab" }, shelf, make("div", { className: "content" }, content)));
  visible = new IntersectionObserver(summarise, { root: list, rootMargin: "200px" });
}

function fillList() {
  const wanted = filter.value.trim().toLowerCase();
  const runs = state.runs.filter((run) => run.key.toLowerCase().includes(wanted));
  visible.disconnect();
  list.replaceChildren(...runs.map(entry));
  if (!runs.length) list.append(make("li", { className: "none" }, state.runs.length ? "No run of that name." : "No runs yet."));
  markChosen();
}

function entry(run) {
  const box = make("input", { type: "checkbox", checked: state.compared.includes(run.key), title: "Compare" });
  box.setAttribute("aria-label", `Compare ${run.key}`);
  box.onchange = () => {
    state.compared = state.compared.filter((key) => key !== run.key);
    if (box.checked) state.compared.push(run.key);
    markChosen();
  };
  const gist = make("span", { className: "gist" });
  const button = make("button", { type: "button", title: run.key, onclick: () => choose(run.key) },
    make("span", { className: "name" }, run.key), gist);
  const item = make("li", {}, box, button);
  item.dataset.key = run.key;
  showSummary(item);
  visible.observe(item);
  return item;
}

function showSummary(item) {
  const summary = state.summaries[item.dataset.key];
  if (!summary) return;
  item.dataset.bound = summary.bound;
  item.querySelector(".gist").replaceChildren(make("span", { className: "mark" }), [summary.verdict, summary.gist].filter(Boolean).join(" · "));
}

// Verdicts take reading the runs: only of those that are looked at.
async function summarise(entries) {
  const version = Object.fromEntries(state.runs.map((run) => [run.key, run.version]));
  const items = entries.filter((one) => one.isIntersecting).map((one) => one.target);
  const wanted = items.filter(({ dataset: { key } }) => key && state.summaries[key]?.version !== version[key]);
  for (let first = 0; first < wanted.length; first += SUMMARIES_EACH) {
    const some = wanted.slice(first, first + SUMMARIES_EACH);
    const answered = await ask("summaries", some.map((item) => item.dataset.key));
    for (const [key, summary] of Object.entries(answered)) state.summaries[key] = { ...summary, version: version[key] };
    some.forEach(showSummary);
  }
}

function markChosen() {
  for (const item of list.querySelectorAll("li[data-key]")) {
    item.querySelector("button").setAttribute("aria-current", String(item.dataset.key === state.current));
  }
  const count = state.compared.length;
  compareButton.textContent = count < 2 ? "Tick runs to compare" : `Compare ${count} runs`;
  compareButton.disabled = count < 2 || count > state.mostCompared;
}

// A run's key, or null for the comparison.
async function choose(key) {
  state.current = key;
  state.asked = key === null ? [...state.compared] : [key];
  markChosen();
  content.parentElement.scrollTop = 0;
  await show();
}

async function show() {
  const { current, asked } = state;
  const answer = await ask(current === null ? "comparison" : "run", asked).catch(() => FAILED);
  await plotly;
  if (state.current !== current || state.asked !== asked) return; // another was chosen meanwhile
  state.version = answer.version;
  state.recording = answer.recording;
  const chosen = current !== null && current === state.drawn ? chosenViews() : [];
  state.drawn = current;
  takeAway();
  content.innerHTML = answer.html;
  addLinks(answer);
  for (const [figure, view] of chosen) {
    const select = content.querySelector(`[data-figure="${figure}"] .choose-view`);
    if (select?.options[view]) select.value = view;
  }
  takeAway = showFigures(content, answer.figures, state.templates);
}

// What somebody looks at stays when the same run is drawn anew.
function chosenViews() {
  const selects = [...content.querySelectorAll("[data-figure] .choose-view")];
  return selects.map((select) => [select.closest("[data-figure]").dataset.figure, select.value]);
}

function addLinks({ recording, trace, windows = [], figures }) {
  if (recording) {
    content.prepend(make("p", { className: "links live" }, "being recorded, shown as far as it came"));
  }
  for (const window of windows) {
    content.append(make("p", { className: "links" }, link(xprof(window), `Traced by TensorFlow in XProf: ${window.name}`)));
  }
  if (!trace) return;
  const whole = xprof(trace);
  const { views } = figures.find(({ key }) => key === "timeline") ?? { views: [] };
  views.forEach((view, number) => {
    const place = content.querySelector(`[data-figure="timeline"] [data-view="${number}"] .caption`);
    place.append(" ", link(traceViewer(trace, view), "Open in XProf"));
    const own = windows.find(({ start_ms: start, end_ms: end }) => start < view.end_ms && end > view.start_ms);
    if (own) place.append(" ", link(xprof(own), "TensorFlow's own trace"));
  });
  if (!views.length) content.append(make("p", { className: "links" }, link(whole, "The run's trace in XProf")));
  else content.querySelector('[data-figure="timeline"]').append(make("p", { className: "xprof" }, link(whole, "The whole run in XProf")));
}

// XProf's page takes the run from the query of TensorBoard's own address.
function xprof({ run }) {
  return `../../../?${new URLSearchParams({ run, tag: "trace_viewer@" })}#profile`;
}

function link(href, text) {
  return make("a", { href, target: "_blank", rel: "noopener", className: "xprof" }, text);
}

// XProf's viewer alone, which unlike its page takes a time range.
function traceViewer({ run, host }, { start_ms: start, end_ms: end }) {
  const data = new URL("../profile/data", document.baseURI);
  data.search = new URLSearchParams({ run, tag: "trace_viewer@", host });
  return `../profile/trace_viewer_index.html?${new URLSearchParams({
    is_streaming: true, is_oss: true, trace_data_url: data.pathname + data.search, view_start: start, view_end: end,
  })}`;
}

async function refresh() {
  if (document.visibilityState !== "visible") return;
  const { runs } = await ask("runs");
  if (JSON.stringify(runs) !== JSON.stringify(state.runs)) {
    state.runs = runs;
    fillList();
  }
  if (state.current === null) return;
  const version = runs.find((run) => run.key === state.current)?.version;
  if (!state.recording && version === state.version) return;
  await show();
}

export async function render() {
  followTheme();
  document.documentElement.lang = "en";
  document.head.append(make("link", { rel: "preload", as: "script", href: "./plotly.min.js" }));
  const [{ runs, templates, most_compared: mostCompared }] = await Promise.all([
    ask("runs"),
    load("link", { rel: "stylesheet", href: "./page.css" }),
    load("link", { rel: "stylesheet", href: "./tab.css" }),
  ]);
  build();
  Object.assign(state, { runs, templates, mostCompared });
  fillList();
  plotly = load("script", { src: "./plotly.min.js" }); // takes a while to run: the list is there first
  if (runs.length) await choose(runs[0].key);
  else content.append(make("p", {}, "Record a run with 'pipeprof run SCRIPT'; it shows here."));
  setInterval(() => refresh().catch(() => {}), REFRESH_MS); // TensorBoard may be away for a while
}
