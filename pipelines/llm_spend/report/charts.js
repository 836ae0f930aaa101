"use strict";
// The charts, drawn by Vega as SVG in the colours of the page: light, dark and on paper without being drawn again.

const PALETTE = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)"];
const SERIES = PALETTE.length;
const CONFIG = {
  background: "transparent",
  font: "system-ui, sans-serif",
  view: { stroke: null },
  axis: {
    labelColor: "var(--quiet)", titleColor: "var(--quiet)", gridColor: "var(--line)", domainColor: "var(--line)",
    tickColor: "var(--line)", labelFontSize: 11, titleFontSize: 11, titleFontWeight: 500,
  },
  axisX: { grid: false },
  legend: { labelColor: "var(--ink)", labelFontSize: 12, symbolType: "square", orient: "top", title: null, labelLimit: 160, columns: innerWidth < 700 ? 2 : 4 },
};
const drawings = new Map();

/** Draw into the element of this id, in place of what is there. */
async function draw(id, spec) {
  const drawing = Symbol(id);
  drawings.get(id)?.view?.finalize();
  drawings.set(id, { drawing });
  const full = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    width: "container",
    autosize: { type: "fit-x", contains: "padding" },
    config: CONFIG,
    ...spec,
  };
  const { view } = await vegaEmbed(`#${id}`, full, {
    actions: false, renderer: "svg", ast: true, mode: "vega-lite", tooltip: { theme: "report" },
  });
  if (drawings.get(id)?.drawing === drawing) drawings.set(id, { drawing, view });
  else view.finalize();
}

/** Words where there is nothing to draw. */
function blank(id, words) {
  drawings.get(id)?.view?.finalize();
  drawings.delete(id);
  document.getElementById(id).replaceChildren(Object.assign(document.createElement("p"), { className: "none", textContent: words }));
}

const timeAxis = (days) => ({
  title: null, format: days > 200 ? "%b %Y" : "%-d %b", labelOverlap: "greedy", labelSeparation: 12, tickCount: { interval: days > 200 ? "month" : "day", step: days > 200 ? 1 : Math.max(1, Math.ceil(days / 8)) },
});
const moneyAxis = (most) => ({ title: null, format: most < 10 ? "$.2f" : most < 10000 ? "$,.0f" : "$.3~s", tickCount: 5 });
const ofDay = { type: "temporal", scale: { type: "utc" } };

/** Spent by the end of each day, beside the month before, the forecast and the budget. */
function drawRunning(facts) {
  const days = Math.max(facts.spent.length, facts.before.length, Number(facts.last.slice(8)));
  const points = (amounts, kind) =>
    amounts.flatMap((text, place) => (text === null ? [] : [{ day: place + 1, usd: drawn(picoOf(text)), text: usd(picoOf(text)), kind }]));
  const values = [...points(facts.before, "the month before"), ...points(facts.spent, "this month")];
  if (!values.length) return blank("chart-running", "No cost is known.");
  if (facts.forecast !== null) {
    const last = facts.spent.at(-1);
    values.push({ day: facts.spent.length, usd: drawn(picoOf(last)), text: usd(picoOf(last)), kind: "forecast" });
    values.push({ day: Number(facts.last.slice(8)), usd: drawn(picoOf(facts.forecast)), text: usd(picoOf(facts.forecast)), kind: "forecast" });
  }
  const kinds = ["this month", "the month before", ...(facts.forecast === null ? [] : ["forecast"])];
  const most = Math.max(...values.map((value) => value.usd), facts.budget ? Number(facts.budget.usd) : 0);
  const x = { field: "day", type: "quantitative", scale: { domain: [1, days], nice: false }, axis: { title: null, tickMinStep: 1, format: "d" } };
  const layer = [
    { transform: [{ filter: "datum.kind === 'this month'" }], mark: { type: "area", opacity: 0.14, color: "var(--c1)" }, encoding: { x, y: { field: "usd", type: "quantitative" } } },
    {
      mark: { type: "line", strokeWidth: 2.5, clip: true },
      encoding: {
        x,
        y: { field: "usd", type: "quantitative", axis: moneyAxis(most) },
        color: { field: "kind", scale: { domain: kinds, range: ["var(--c1)", "var(--c7)", "var(--c2)"] }, legend: { symbolType: "stroke", symbolStrokeWidth: 3 } },
        strokeDash: { field: "kind", scale: { domain: kinds, range: [[1, 0], [1, 0], [5, 4]] }, legend: null },
      },
    },
    {
      mark: { type: "point", opacity: 0, size: 180, tooltip: true },
      encoding: { x, y: { field: "usd", type: "quantitative" }, tooltip: [{ field: "day", title: "to day" }, { field: "text", title: "spent" }, { field: "kind", title: "" }] },
    },
  ];
  if (facts.budget) {
    const budget = { usd: Number(facts.budget.usd), day: days, text: `${facts.budget.label}: ${usd(picoOf(facts.budget.usd))}` };
    layer.push({ data: { values: [budget] }, mark: { type: "rule", strokeDash: [3, 3], color: "var(--bad)", strokeWidth: 1.5 }, encoding: { y: { field: "usd", type: "quantitative" } } });
    layer.push({ data: { values: [budget] }, mark: { type: "text", align: "right", baseline: "bottom", dy: -4, color: "var(--bad)", fontSize: 11 }, encoding: { x, y: { field: "usd", type: "quantitative" }, text: { field: "text" } } });
  }
  return draw("chart-running", { height: 230, data: { values }, layer });
}

/** Cost per day, divided by members. Of a week or a month it is the mean of its days: areas are money. */
function drawDays(periods, names) {
  const values = [];
  let most = 0;
  for (const { start, end, label, members } of periods) {
    let below = 0;
    const days = (end - start) / 864e5;
    for (const [place, name] of names.entries()) {
      const sums = members.get(name);
      if (!sums?.cost) continue;
      const above = below + drawn(sums.cost) / days;
      values.push({ start, end, below, above, name, place, label, text: usd(sums.cost), requests: count(sums.requests) });
      below = above;
    }
    most = Math.max(most, below);
  }
  if (!values.length) return blank("chart-days", periods.length ? "No cost is known for what is chosen." : "No usage is like what is chosen.");
  const span = (periods.at(-1).end - periods[0].start) / 864e5;
  const range = names.map((name, place) => (name === UNALLOCATED ? "var(--c8)" : name.startsWith("(") || / more /.test(name) ? "var(--c7)" : PALETTE[place % SERIES]));
  return draw("chart-days", {
    height: 230,
    data: { values },
    mark: { type: "rect", stroke: "var(--paper)", strokeWidth: 0.5, tooltip: true },
    encoding: {
      x: { field: "start", ...ofDay, axis: timeAxis(span) },
      x2: { field: "end" },
      y: { field: "below", type: "quantitative", axis: moneyAxis(most) },
      y2: { field: "above" },
      color: { field: "name", scale: { domain: names, range }, legend: names.length > 1 ? {} : null },
      tooltip: [{ field: "label", title: "when" }, { field: "name", title: "who" }, { field: "text", title: "cost" }, { field: "requests", title: "requests" }],
    },
  });
}

/** Of all requests, those that ended in an error or were refused. */
function drawErrors(periods) {
  const kinds = { errors: "error", blocked_requests: "refused" };
  const values = periods.flatMap(({ start, label, sums }) =>
    Object.entries(kinds).map(([measure, kind]) => ({
      start, label, kind, share: sums.requests ? sums[measure] / sums.requests : 0,
      text: percent(ratio(sums[measure], sums.requests)), number: `${count(sums[measure])} of ${count(sums.requests)}`,
    })),
  );
  if (!values.length) return blank("chart-errors", "No usage is like what is chosen.");
  const span = (periods.at(-1).end - periods[0].start) / 864e5;
  return draw("chart-errors", {
    height: 170,
    data: { values },
    mark: { type: "line", strokeWidth: 2, point: { size: 24, filled: true }, tooltip: true },
    encoding: {
      x: { field: "start", ...ofDay, axis: timeAxis(span) },
      y: { field: "share", type: "quantitative", axis: { title: null, format: ".1~%", tickCount: 4 } },
      color: { field: "kind", scale: { domain: Object.values(kinds), range: ["var(--c5)", "var(--c2)"] }, legend: { symbolType: "stroke", symbolStrokeWidth: 3 } },
      tooltip: [{ field: "label", title: "when" }, { field: "kind", title: "ended" }, { field: "text", title: "share" }, { field: "number", title: "requests" }],
    },
  });
}

/** Percentiles of the time to the whole answer, day by day. */
function drawLatency(days) {
  const titles = ["p50", "p90", "p99"];
  const values = days.flatMap(({ start, label, latency }) =>
    latency.flatMap((milliseconds, place) =>
      milliseconds === null ? [] : [{ start, label, seconds: milliseconds / 1000, text: time(milliseconds), of: titles[place] }],
    ),
  );
  if (!values.length) return blank("chart-latency", "No answer of these days has a latency.");
  const span = (days.at(-1).start - days[0].start) / 864e5 + 1;
  return draw("chart-latency", {
    height: 170,
    data: { values },
    mark: { type: "line", strokeWidth: 2, point: { size: 24, filled: true }, tooltip: true },
    encoding: {
      x: { field: "start", ...ofDay, axis: timeAxis(span) },
      y: { field: "seconds", type: "quantitative", axis: { title: "seconds", tickCount: 4 } },
      color: { field: "of", scale: { domain: titles, range: ["var(--c3)", "var(--c1)", "var(--c4)"] }, legend: { symbolType: "stroke", symbolStrokeWidth: 3 } },
      tooltip: [{ field: "label", title: "day" }, { field: "of", title: "percentile" }, { field: "text", title: "at most" }],
    },
  });
}
