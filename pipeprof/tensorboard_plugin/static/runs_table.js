// All runs as a table: sorted by a column, filtered by verdict and by conditions. Rows are filled in as
// the backend reads the runs. Names from runs are only ever set as text.

import { make } from "./make.js";

/**
 * @param {object} about as the backend's answer `runs` gives them: `columns`, `verdicts`, `parts`.
 * @param {object} tab what the table asks of the tab:
 *   `open(key)` shows a run, `tick(key, on)` chooses one to compare, `isTicked(key)`,
 *   `summaryOf(key)` is its row or undefined, `chosen(conditions)` asks the backend for the keys of those
 *   for which they hold.
 */
export function runsTable({ columns, verdicts, parts }, tab) {
  const rows = new Map();
  let keys = []; // of the runs with the name that is looked for, the latest first
  let kept = null; // those for which the conditions hold, or null without conditions
  let drawn = [];
  let order = { key: null, descending: false };

  const heads = columns.map(({ header, key, meaning }) => {
    const button = make("button", { type: "button", title: `${meaning}; click to sort`, onclick: () => sortBy(key) }, header);
    const head = make("th", { scope: "col", className: isText(key) ? "" : "number" }, button);
    head.dataset.key = key;
    return head;
  });
  const account = make("th", { scope: "col" }, "where the time went");
  const body = make("tbody");
  const status = make("p", { className: "caption" });
  status.setAttribute("role", "status");
  const verdict = make("select", { onchange: arrange }, new Option("any verdict", ""),
    ...Object.entries(verdicts).map(([value, word]) => new Option(word, value)));
  verdict.setAttribute("aria-label", "Verdict");
  const condition = make("input", { type: "search", placeholder: "step_ms>10, samples_per_s<500", onchange: keepThose });
  condition.addEventListener("search", keepThose);
  const problem = make("p", { className: "problem", hidden: true });
  const element = make("section", { className: "all-runs" },
    make("h1", {}, "All runs"),
    make("div", { className: "filters" }, verdict, make("label", {}, "only runs with ", condition)),
    make("p", { className: "hint" }, `Names: ${columns.map(({ key }) => key).join(", ")}, account/compute/ratio, and all others of pipeprof export --csv.`),
    problem, status, legend(parts),
    make("table", { className: "runs" },
      make("thead", {}, make("tr", {}, make("th", { ariaLabel: "compare" }), ...heads, account)), body));

  function isText(key) {
    return key === "name" || key === "bound";
  }

  function sortBy(key) {
    const first = !isText(key); // of numbers the greatest are looked for, of texts the first
    if (order.key !== key) order = { key, descending: first };
    else if (order.descending === first) order = { key, descending: !first };
    else order = { key: null, descending: false };
    arrange();
  }

  let asked = 0;
  async function keepThose() {
    const conditions = condition.value.split(",").map((one) => one.trim()).filter(Boolean);
    const number = ++asked;
    status.textContent = "looking for such runs …";
    const answer = conditions.length ? await tab.chosen(conditions) : { keys: null };
    if (number !== asked) return;
    problem.textContent = answer.problem ?? "";
    problem.hidden = !answer.problem;
    kept = answer.keys ? new Set(answer.keys) : null;
    arrange();
  }

  // The row of a run, made again when its summary has come or changed.
  function row(key) {
    const summary = tab.summaryOf(key);
    const held = rows.get(key);
    if (held && held.summary === summary) return held.element;
    const box = make("input", { type: "checkbox", checked: tab.isTicked(key), title: "Compare" });
    box.setAttribute("aria-label", `Compare ${key}`);
    box.onchange = () => tab.tick(key, box.checked);
    const name = make("button", { type: "button", title: key, onclick: () => tab.open(key) }, key);
    const made = make("tr", {}, make("td", {}, box), make("td", { className: "name" }, name), ...cells(summary));
    made.dataset.key = key;
    if (summary) made.dataset.bound = summary.bound;
    rows.set(key, { element: made, summary });
    return made;
  }

  function cells(summary) {
    if (!summary) return [make("td", { className: "none", colSpan: columns.length }, "…")];
    if (summary.problem) return [make("td", { className: "none", colSpan: columns.length }, `cannot be read: ${summary.problem}`)];
    const [, bound, ...numbers] = summary.cells;
    return [
      make("td", {}, make("span", { className: "mark" }), bound),
      ...numbers.map((text) => make("td", { className: "number" }, text)),
      make("td", {}, bar(summary.account, parts)),
    ];
  }

  function value(key) {
    const summary = tab.summaryOf(key);
    if (order.key === "name") return key;
    return order.key === "bound" ? summary?.verdict : summary?.values?.[order.key];
  }

  function compare(one, other) {
    const [a, b] = [value(one), value(other)];
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    const less = typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
    return order.descending ? -less : less;
  }

  // Rows that stay where they are are exchanged one by one, which is much faster than all of them.
  function fill(shown) {
    const stays = shown.length === drawn.length && shown.every((key, place) => key === drawn[place]);
    if (!stays) body.replaceChildren(...shown.map(row));
    else for (const key of shown) {
      const held = rows.get(key)?.element;
      const made = row(key);
      if (made !== held) held.replaceWith(made);
    }
    drawn = shown;
  }

  function arrange() {
    const shown = keys.filter((key) => (!kept || kept.has(key)) && (!verdict.value || tab.summaryOf(key)?.bound === verdict.value));
    if (order.key) shown.sort(compare);
    fill(shown);
    for (const head of heads) {
      const sorted = head.dataset.key === order.key;
      if (sorted) head.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    const unread = keys.filter((key) => !tab.summaryOf(key)).length;
    status.textContent = [
      shown.length === keys.length ? `${count(keys.length)}, ${order.key ? "sorted" : "the latest first"}` : `${shown.length.toLocaleString("en")} of ${count(keys.length)}`,
      unread ? `reading ${unread.toLocaleString("en")} more` : "",
    ].filter(Boolean).join(" · ");
  }

  return {
    element,
    /** Shows the runs of these keys; also after summaries have come. */
    show(some) {
      keys = some;
      const known = new Set(some);
      arrange();
      for (const key of rows.keys()) if (!known.has(key)) rows.delete(key);
    },
    /** Asks again for the runs for which the conditions hold: others may have come. */
    refresh: () => (condition.value ? keepThose() : undefined),
    markTicked() {
      for (const [key, { element: made }] of rows) made.querySelector("input").checked = tab.isTicked(key);
    },
  };
}

function count(runs) {
  return `${runs.toLocaleString("en")} ${runs === 1 ? "run" : "runs"}`;
}

function bar(account, parts) {
  const made = make("div", { className: "account-bar", role: "img" });
  made.setAttribute("aria-label", account.map(({ part, share }) => `${part} ${share}`).join(", "));
  for (const { part, ratio, share } of account) {
    const piece = make("span", { title: `${part} ${share}`, className: parts[part].hatched ? "hatched" : "" });
    piece.style.width = `${100 * ratio}%`;
    piece.style.backgroundColor = parts[part].color;
    made.append(piece);
  }
  return made;
}

function legend(parts) {
  const items = Object.entries(parts).map(([part, { color, hatched }]) => {
    const mark = make("span", { className: hatched ? "swatch hatched" : "swatch" });
    mark.style.backgroundColor = color;
    return make("li", {}, mark, part);
  });
  return make("ul", { className: "parts" }, ...items);
}
