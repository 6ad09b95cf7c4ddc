// The tab: runs to choose on the one side, the report that Python made of them on the other.
// Names from runs are only ever set as text; HTML comes from the backend, which escapes them.

import { showFigures } from "./figures.js";
import { make } from "./make.js";
import { showWhatIf } from "./what_if.js";
import { runsTable } from "./runs_table.js";

const REFRESH_MS = 5000;
const FAILED = {
  html: "<section class=message><h1>No answer</h1><p>TensorBoard does not answer. If it still runs, its terminal shows the error.</p></section>",
  figures: [],
};

// What is shown: {key} is a run, {key, rank} one of its ranks, {keys} runs beside each other, {keys, after} two groups,
// {} the table of all runs.
const state = { runs: [], about: null, shown: {}, drawn: null, compared: [], summaries: {} };
let takeAway = () => {};
let list, content, compareButton, tableButton, filter, visible, plotly, table;

async function ask(path, asked = {}) {
  const query = new URLSearchParams(Object.entries(asked).flatMap(([name, values]) => values.map((value) => [name, value])));
  const answer = await fetch(`./${path}?${query}`);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
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
  filter = make("input", { type: "search", placeholder: "Filter runs by name", oninput: fillList });
  filter.setAttribute("aria-label", "Filter runs by name");
  tableButton = make("button", { type: "button", onclick: () => choose({}) }, "All runs as a table");
  compareButton = make("button", { type: "button", onclick: () => choose({ keys: inOrder(state.compared) }) });
  list = make("ul");
  content = make("main");
  const head = make("div", { className: "shelf-head" }, tableButton, filter, compareButton);
  const shelf = make("nav", { className: "shelf" }, head, list);
  shelf.setAttribute("aria-label", "Runs");
  document.body.replaceChildren(make("div", { className: "tab" }, shelf, make("div", { className: "content" }, content)));
  visible = new IntersectionObserver(summariseVisible, { root: list, rootMargin: "200px" });
  table = runsTable(state.about, {
    open: (key) => choose({ key }),
    tick,
    isTicked: (key) => state.compared.includes(key),
    summaryOf: (key) => state.summaries[key],
    chosen: (conditions) => ask("chosen", { where: conditions }).catch(() => ({ problem: "TensorBoard does not answer." })),
  });
}

// The earlier run comes first: what is compared is what became of it.
function inOrder(keys) {
  const place = new Map(state.runs.map(({ key }, number) => [key, number]));
  return [...keys].sort((one, other) => place.get(other) - place.get(one));
}

function wanted() {
  const text = filter.value.trim().toLowerCase();
  return state.runs.filter((run) => run.key.toLowerCase().includes(text));
}

function fillList() {
  const runs = wanted();
  visible.disconnect();
  list.replaceChildren(...runs.map(entry));
  if (!runs.length) list.append(make("li", { className: "none" }, state.runs.length ? "No run of that name." : "No runs yet."));
  markChosen();
  if (isTable()) showTable();
}

function isTable() {
  return !state.shown.key && !state.shown.keys;
}

function tick(key, on) {
  state.compared = state.compared.filter((other) => other !== key);
  if (on) state.compared.push(key);
  markChosen();
}

function entry(run) {
  const box = make("input", { type: "checkbox", checked: state.compared.includes(run.key), title: "Compare" });
  box.setAttribute("aria-label", `Compare ${run.key}`);
  box.onchange = () => tick(run.key, box.checked);
  const gist = make("span", { className: "gist" });
  const button = make("button", { type: "button", title: run.key, onclick: () => choose({ key: run.key }) },
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

// Verdicts take reading the runs: at first only of those that are looked at.
async function summariseVisible(entries) {
  const items = entries.filter((one) => one.isIntersecting).map((one) => one.target);
  await summarise(items.map((item) => item.dataset.key).filter(Boolean));
  items.forEach(showSummary);
}

function versions() {
  return Object.fromEntries(state.runs.map((run) => [run.key, run.version]));
}

// Reads those of some runs that were not read yet, or have changed since; calls back after every few.
async function summarise(keys, onSome = () => true) {
  const version = versions();
  const unread = keys.filter((key) => state.summaries[key]?.version !== version[key]);
  const each = state.about.summaries_each;
  const askFrom = (first) => (first < unread.length ? ask("summaries", { run: unread.slice(first, first + each) }) : null);
  let coming = askFrom(0);
  for (let first = 0; first < unread.length; first += each) {
    const answered = await coming;
    coming = askFrom(first + each); // the backend reads while the page is drawn
    for (const [key, summary] of Object.entries(answered)) state.summaries[key] = { ...summary, version: version[key] };
    if (!onSome()) {
      coming?.catch(() => {});
      return;
    }
  }
}

let reading = 0;
async function showTable() {
  const number = ++reading;
  const keys = wanted().map((run) => run.key);
  table.show(keys);
  await summarise(keys, () => {
    if (number !== reading || !isTable()) return false;
    table.show(keys);
    return true;
  });
}

function markChosen() {
  for (const item of list.querySelectorAll("li[data-key]")) {
    item.querySelector("button").setAttribute("aria-current", String(item.dataset.key === state.shown.key));
    item.querySelector("input").checked = state.compared.includes(item.dataset.key);
  }
  tableButton.setAttribute("aria-current", String(isTable()));
  table.markTicked();
  const count = state.compared.length;
  const most = state.about.most_compared;
  compareButton.textContent = count < 2 ? "Tick two runs to compare" : count > most ? `Tick at most ${most} runs` : `Compare ${count} runs`;
  compareButton.disabled = count < 2 || count > most;
}

async function choose(shown) {
  state.shown = shown;
  markChosen();
  content.parentElement.scrollTop = 0;
  await show();
}

async function show(whenDrawn = () => {}) {
  const { shown } = state;
  if (isTable()) {
    takeAway();
    takeAway = () => {};
    state.drawn = null;
    content.replaceChildren(table.element);
    await showTable();
    return;
  }
  const asked = { run: shown.keys ?? [shown.key], after: shown.after ?? [], rank: rankOf(shown) };
  const answer = await ask(shown.key ? "run" : "comparison", asked).catch(() => FAILED);
  await plotly;
  if (state.shown !== shown) return; // another was chosen meanwhile
  content.removeAttribute("aria-busy");
  state.version = answer.version;
  state.recording = answer.recording;
  const again = shown.key && shown.key === state.drawn?.key && shown.rank === state.drawn.rank;
  const chosen = again ? chosenViews() : [];
  const supposed = again ? chosenChanges() : [];
  state.drawn = shown;
  takeAway();
  content.innerHTML = answer.html;
  addLinks(answer);
  if (shown.after) addSwap({ keys: shown.after, after: shown.keys });
  else if (shown.keys?.length === 2) addSwap({ keys: shown.keys.toReversed() });
  if (shown.keys && shown.keys.length + (shown.after?.length ?? 0) > 2) addGroups(shown);
  for (const [figure, view] of chosen) {
    const select = content.querySelector(`[data-figure="${figure}"] .choose-view`);
    if (select?.options[view]) select.value = view;
  }
  takeAway = showFigures(content, answer.figures, state.about.templates);
  if (answer.ranks) addRanks(shown.key, answer.ranks);
  whenDrawn();
  if (shown.key && answer.figures.length) await addWhatIf(shown, content.firstElementChild, supposed);
}

// The rank that was asked for; at first there is none.
function rankOf({ rank }) {
  return rank === undefined ? [] : [rank];
}

// One rank's own report on demand: from a list of all, or by its row in the heat map.
function addRanks(key, { shown, chosen, all }) {
  const options = (ranks) => ranks.map(([number, text]) => make("option", { value: number }, text));
  const select = make("select", {},
    make("optgroup", { label: "These stand for all" }, ...options(chosen)),
    make("optgroup", { label: "All ranks" }, ...options(all)));
  select.value = shown;
  select.onchange = () => chooseRank(key, Number(select.value));
  content.querySelector("[data-rank]").append(make("label", { className: "choose-rank" }, "Another one: ", select));
  const heat = content.querySelector('[data-figure="ranks"]');
  if (!heat) return;
  heat.querySelector(".caption").append(" Click a rank to see its own report below.");
  heat.querySelector(".plot").on("plotly_click", ({ points: [{ data, pointIndex }] }) => chooseRank(key, data.meta[pointIndex[0]]));
}

async function chooseRank(key, rank) {
  state.shown = { key, rank };
  content.setAttribute("aria-busy", "true");
  await show(() => {
    const head = content.querySelector("[data-rank]");
    head?.scrollIntoView({ block: "start" });
    head?.querySelector("select").focus({ preventScroll: true });
  });
}

// Takes a while to predict, so the run is there first.
async function addWhatIf(shown, drawnNow, supposed) {
  const { html, data } = await ask("what_if", { run: [shown.key], rank: rankOf(shown) }).catch(() => ({ html: "" }));
  if (!html || state.shown !== shown || content.firstElementChild !== drawnNow) return; // drawn anew meanwhile
  const place = make("template", { innerHTML: html }).content;
  const pipeline = content.querySelector('[data-figure="pipeline"]');
  if (pipeline) pipeline.after(place);
  else content.querySelector(".details").before(place);
  if (!data) return;
  const takeAwayRest = takeAway;
  const takeAwayOwn = showFigures(content, [data.figure], state.about.templates);
  takeAway = () => { takeAwayRest(); takeAwayOwn(); };
  const selects = content.querySelectorAll(".what-if-controls select");
  if (supposed.length === selects.length) selects.forEach((select, number) => { select.value = supposed[number]; });
  showWhatIf(content, data);
}

function chosenChanges() {
  return [...content.querySelectorAll(".what-if-controls select")].map(({ value }) => value);
}

function addSwap(turned) {
  const button = make("button", { type: "button", onclick: () => choose(turned) }, "Swap before and after");
  content.querySelector(".sides")?.append(button);
}

// Several runs become two groups: at first the earlier half is before, the later half after.
function addGroups({ keys, after }) {
  const all = inOrder([...keys, ...(after ?? [])]);
  const isAfter = new Map(all.map((key, place) => [key, after ? after.includes(key) : 2 * place >= all.length]));
  const compare = make("button", { type: "button", onclick: () => choose({ keys: all.filter((key) => !isAfter.get(key)), after: all.filter((key) => isAfter.get(key)) }) },
    "Compare the two groups");
  const sides = all.map((key) => {
    const select = make("select", { onchange: () => { isAfter.set(key, select.selectedIndex === 1); check(); } }, new Option("before"), new Option("after"));
    select.selectedIndex = Number(isAfter.get(key));
    select.setAttribute("aria-label", `Group of ${key}`);
    return make("label", {}, select, key);
  });
  const check = () => { compare.disabled = new Set(isAfter.values()).size < 2; };
  check();
  content.prepend(make("details", { className: "two-groups", open: !after }, make("summary", {}, "Two groups of runs"),
    make("p", { className: "caption" }, "Several runs of one thing on each side show what such runs differ by themselves."),
    make("div", { className: "group-choices" }, ...sides), compare));
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
    if (isTable()) await table.refresh();
  }
  if (!state.shown.key) return;
  const version = runs.find((run) => run.key === state.shown.key)?.version;
  if (!state.recording && version === state.version) return;
  await show();
}

export async function render() {
  followTheme();
  document.documentElement.lang = "en";
  document.head.append(make("link", { rel: "preload", as: "script", href: "./plotly.min.js" }));
  const [{ runs, ...about }] = await Promise.all([
    ask("runs"),
    load("link", { rel: "stylesheet", href: "./page.css" }),
    load("link", { rel: "stylesheet", href: "./tab.css" }),
  ]);
  Object.assign(state, { runs, about });
  build();
  if (runs.length) state.shown = { key: runs[0].key };
  fillList();
  plotly = load("script", { src: "./plotly.min.js" }); // takes a while to run: the list is there first
  if (runs.length) await choose(state.shown);
  else content.append(make("p", {}, "Record a run with 'pipeprof run SCRIPT'; it shows here."));
  setInterval(() => refresh().catch(() => {}), REFRESH_MS); // TensorBoard may be away for a while
}
