"use strict";
// The page: what is chosen stands in the address, and every table and chart that can follow it does.

(() => {
  const DAY = 864e5;
  const TOP = 8, ALL = 500, CHOICES = 200;
  const LATENCIES = [...Array(3).keys()];
  const facts = JSON.parse(byId("facts").textContent);
  const dimensions = facts.dimensions;
  const origin = Date.parse(facts.first);
  const month = { from: dayOf(facts.month), to: dayOf(facts.last) };
  const state = { ...month, filters: new Map(), by: "team", tag: null, series: 0, sort: "cost", open: new Set() };
  let data;

  // ---- days are whole numbers since the first of the page

  function dayOf(text) { return Math.round((Date.parse(text) - origin) / DAY); }
  function dateOf(day) { return new Date(origin + day * DAY).toISOString().slice(0, 10); }
  function spanOf(start, end) { return start === end ? dateOf(start) : `${dateOf(start)} to ${dateOf(end)}`; }

  function monthName(text) { return new Date(text).toLocaleDateString("en", { month: "long", year: "numeric", timeZone: "UTC" }); }

  // ---- elements

  function byId(id) { return document.getElementById(id); }

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value === true) made.setAttribute(key, "");
      // An option of no value says so; of other attributes nothing is none.
      else if (value !== false && value !== null && value !== undefined && (value !== "" || key === "value")) made.setAttribute(key, value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  /** Names come out of logs: nothing that can't be seen but does something. As in export/names.py. */
  function shown(text) {
    return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
  }

  /** A name that is cut behind its @ rather than anywhere. */
  function breakable(text) {
    const made = document.createDocumentFragment();
    shown(text).split("@").forEach((part, place) => {
      if (place) made.append("@", element("wbr"));
      made.append(part);
    });
    return made;
  }

  // ---- what is chosen

  function readAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    const day = (name, otherwise) => (/^\d{4}-\d\d-\d\d$/.test(given.get(name) ?? "") && !Number.isNaN(Date.parse(given.get(name))) ? dayOf(given.get(name)) : otherwise);
    state.from = day("from", month.from);
    state.to = Math.max(state.from, day("to", month.to));
    state.filters = new Map();
    for (const { name } of dimensions) {
      // One that this page doesn't know stays: nothing is like it, and that is not everything.
      const wanted = given.getAll(name);
      if (wanted.length) state.filters.set(name, new Set(wanted));
    }
    state.by = dimensions.some(({ name }) => name === given.get("by")) ? given.get("by") : "team";
    state.tag = data.tags.keys.includes(given.get("tag")) ? given.get("tag") : (data.tags.keys[0] ?? null);
    state.sort = given.get("sort") in ORDERS ? given.get("sort") : "cost";
  }

  function writeAddress() {
    const said = new URLSearchParams();
    if (state.from !== month.from) said.set("from", dateOf(state.from));
    if (state.to !== month.to) said.set("to", dateOf(state.to));
    for (const [name, members] of state.filters) for (const member of members) said.append(name, member);
    if (state.by !== "team") said.set("by", state.by);
    if (state.tag !== (data.tags.keys[0] ?? null)) said.set("tag", state.tag);
    if (state.sort !== "cost") said.set("sort", state.sort);
    const address = String(said) ? `#${said}` : location.pathname + location.search;
    // An anchor of a section stays as it is while nothing is chosen.
    if (String(said) || location.hash.includes("=")) history.replaceState(null, "", address);
  }

  function choose(change) {
    change();
    writeAddress();
    render();
  }

  function toggle(name, member) {
    const chosen = state.filters.get(name) ?? new Set();
    if (!chosen.delete(member)) chosen.add(member);
    if (chosen.size) state.filters.set(name, chosen);
    else state.filters.delete(name);
  }

  /** What is chosen that no usage to filter has: `user nobody`. */
  function notKnown() {
    return dimensions.flatMap(({ name, title }) => {
      const known = new Set(data.joint.names[name]);
      return [...(state.filters.get(name) ?? [])].filter((member) => !known.has(member)).map((member) => `${title.toLowerCase()} ${shown(member)}`);
    });
  }

  // ---- the usage that is chosen

  /** With a filter all dimensions are wanted at once; without, each has a cube with more members, if that is needed. */
  function cubeOf(name) { return state.filters.size ? data.joint : (data.single[name] ?? data.joint); }

  /** The chosen days, with the weeks and months that they begin or end in: those are known as a whole only. */
  function wholePeriods(cubes) {
    let [from, to] = [state.from, state.to];
    for (const { starts, ends } of [...cubes, ...cubes]) {
      starts.forEach((start, place) => {
        if (start <= from && from <= ends[place]) from = start;
        if (start <= to && to <= ends[place]) to = ends[place];
      });
    }
    return [from, to];
  }

  function chosenUsage() {
    const cubes = [...new Set(dimensions.map(({ name }) => cubeOf(name)))];
    const [from, to] = wholePeriods(cubes);
    const rowsOf = new Map();
    for (const cube of cubes) {
      const allowed = [...state.filters].map(([name, members]) => [
        cube.members[name], Uint8Array.from(cube.names[name], (member) => (members.has(member) ? 1 : 0)),
      ]);
      rowsOf.set(cube, chosenRows(cube, from, to, allowed));
    }
    const members = new Map(dimensions.map(({ name }) => {
      const cube = cubeOf(name), names = cube.names[name];
      const sums = grouped(cube, rowsOf.get(cube), cube.members[name], names.length);
      return [name, new Map([...sums].map(([code, each]) => [names[code], each]))];
    }));
    return { from, to, rowsOf, members, total: added(members.get("environment").values()) };
  }

  /** Every period of the usage with its sums, and with those of each part of the dimension that the chart shows. */
  function periodsOf(usage) {
    const { plural, others } = dimensions.find(({ name }) => name === state.by);
    const cube = cubeOf(state.by), rows = usage.rowsOf.get(cube), names = cube.names[state.by];
    const shownParts = parts(usage.members.get(state.by), { plural, others }, SERIES);
    const more = shownParts.find(({ kind }) => kind === "more");
    const labels = shownParts.map(({ name }) => name);
    const place = new Map(labels.map((label, index) => [label, index]));
    const width = labels.length || 1;
    const partOf = Uint32Array.from(names, (name) => place.get(name) ?? place.get(more?.name) ?? 0);
    const codes = new Uint32Array(cube.period.length);
    for (const row of rows) codes[row] = cube.period[row] * width + partOf[cube.members[state.by][row]];
    const sums = grouped(cube, rows, codes, cube.starts.length * width);
    const periods = new Map();
    for (const [code, each] of sums) {
      const period = Math.floor(code / width);
      if (!periods.has(period)) periods.set(period, new Map());
      periods.get(period).set(labels[code % width], each);
    }
    const listed = [...periods].sort(([one], [other]) => one - other).map(([period, members]) => ({
      start: origin + cube.starts[period] * DAY,
      end: origin + (cube.ends[period] + 1) * DAY,
      label: spanOf(cube.starts[period], cube.ends[period]),
      from: dateOf(cube.starts[period]),
      members,
      sums: added(members.values()),
    }));
    return [listed, labels];
  }

  // ---- tables

  function bodyOf(id) { return document.querySelector(`#${id} tbody`); }

  function usageCells(sums, whole) {
    return [
      element("td", { class: "number", title: exactUsd(sums.cost) }, usd(sums.cost)),
      element("td", { class: "number" }, percent(ratio(sums.cost, whole.cost))),
      element("td", { class: "number minor" }, count(sums.requests)),
      element("td", { class: "number minor", title: sums.total_tokens < 1e6 ? "" : count(sums.total_tokens) }, tokens(sums.total_tokens)),
      element("td", { class: "number" }, count(sums.unpriced_requests)),
    ];
  }

  /** Rows of the members of a table, as macros of the template and figures.py make them; `press` filters by a name. */
  function fillMembers(id, all, words, whole, press) {
    const body = bodyOf(id);
    if (!body) return;
    const open = state.open.has(id);
    const rows = parts(all, words, open ? ALL : TOP, state.sort);
    const measured = (sums) => (state.sort === "cost" ? sums.cost : BigInt(sums[state.sort]));
    const most = rows.reduce((high, { kind, sums }) => (kind === "top" && measured(sums) > high ? measured(sums) : high), 0n);
    const bar = (kind, sums) => (kind === "top" && most && measured(sums) > 0n ? (Number(ratio(measured(sums), most)) / 1e6).toFixed(3) : "");
    body.replaceChildren(
      ...rows.map(({ kind, name, sums }) =>
        element("tr", { class: kind === "top" ? "" : "rest" },
          element("th", { scope: "row", class: [name.startsWith("(") ? "none" : "", bar(kind, sums) ? "bar" : ""].join(" ").trim(), style: bar(kind, sums) ? `--bar:${bar(kind, sums)}` : "" },
            kind === "more" ? name : press?.(name) ?? breakable(name)),
          ...usageCells(sums, whole))),
      element("tr", { class: "total" }, element("th", { scope: "row" }, "Total"), ...usageCells(whole, whole)),
    );
    const button = document.querySelector(`[data-all="${id.slice(3)}"]`);
    const hidden = rows.find(({ kind }) => kind === "more");
    button.hidden = !hidden && !open;
    const which = all.size > ALL ? `the first ${count(ALL)} of ${count(all.size)}` : `all ${count(all.size)}`;
    button.textContent = open ? "Show fewer" : `Show ${which} ${words.plural}`;
    for (const sort of document.querySelectorAll(`#${id} .sort`)) sort.setAttribute("aria-pressed", String(sort.dataset.sort === state.sort));
  }

  function pressable(dimension) {
    const known = new Set(data.joint.names[dimension]);
    const chosen = state.filters.get(dimension);
    return (name) =>
      known.has(name) && (facts.isWhole || name !== dimensions.find((each) => each.name === dimension).others)
        ? element("button", { type: "button", class: "link", "aria-pressed": String(chosen?.has(name) ?? false), title: `Filter by ${shown(name)}`, onclick: () => choose(() => toggle(dimension, name)) }, breakable(name))
        : breakable(name);
  }

  function fillDays(periods, whole) {
    const row = (name, sums, kind) =>
      element("tr", { class: kind }, element("th", { scope: "row" }, name),
        element("td", { class: "number", title: exactUsd(sums.cost) }, usd(sums.cost)),
        ...["requests", "total_tokens", "errors", "blocked_requests", "unpriced_requests"].map((name) => element("td", { class: "number" }, count(sums[name]))));
    bodyOf("table-days").replaceChildren(...periods.map(({ from, sums }) => row(from, sums)), row("Total", whole, "total"));
  }

  function fillNobodys(usage) {
    const order = ["team", "user", "feature", "customer", "environment"];
    const titles = order.map((wanted) => dimensions.find(({ name }) => name === wanted));
    bodyOf("table-nobodys").replaceChildren(...titles.map(({ name, title }) => {
      const sums = usage.members.get(name).get(UNALLOCATED) ?? { ...added([]), cost: 0n };
      return element("tr", {}, element("th", { scope: "row" }, title.toLowerCase()),
        element("td", { class: "number", title: exactUsd(sums.cost) }, usd(sums.cost)),
        element("td", { class: "number" }, percent(ratio(sums.cost, usage.total.cost))),
        ...["requests", "total_tokens", "unpriced_requests"].map((measure) => element("td", { class: "number" }, count(sums[measure]))));
    }));
  }

  function fillTags() {
    const { tags } = data;
    if (state.tag === null) return;
    const code = tags.keys.indexOf(state.tag), values = tags.values[code];
    const [from, to] = wholePeriods([tags]);
    const rows = chosenRows(tags, from, to).filter((row) => tags.key[row] === code);
    const sums = grouped(tags, rows, tags.value, values.length);
    const members = new Map([...sums].map(([value, each]) => [values[value], each]));
    byId("tag-title").textContent = shown(state.tag) + (from !== state.from || to !== state.to ? `, ${spanOf(from, to)}` : "");
    document.querySelector("#by-tag thead th").textContent = shown(state.tag);
    fillMembers("by-tag", members, { plural: "values", others: "(other values)" }, added(members.values()));
  }

  function fillLatencies() {
    const { performance } = data;
    const unresolved = new Set(performance.unresolved);
    // Models without a price entry have their latencies together.
    const models = state.filters.has("model") && new Set([...state.filters.get("model")].map((name) => (unresolved.has(name) ? UNRESOLVED : name)));
    const wanted = performance.series.map(([provider, model]) => (state.filters.get("provider")?.has(provider) ?? true) && (!models || models.has(model)));
    const found = performance.series.map(() => ({ attempts: 0, failed: 0, days: [] }));
    performance.day.forEach((day, row) => {
      if (day < state.from || day > state.to || !wanted[performance.of[row]]) return;
      const series = found[performance.of[row]];
      series.attempts += performance.attempts[row];
      series.failed += performance.failed[row];
      series.days.push(row);
    });
    const order = found.map((series, place) => place).filter((place) => found[place].days.length)
      .sort((one, other) => found[other].attempts - found[one].attempts || (performance.series[one].join("\u0000") < performance.series[other].join("\u0000") ? -1 : 1));
    bodyOf("table-latency")?.replaceChildren(...order.map((place) => {
      const { attempts, failed, days } = found[place];
      const [provider, model, operation] = performance.series[place];
      const of = (column, index, minor) => element("td", { class: minor ? "number minor" : "number" }, time(middle(days.map((row) => performance[column][row][index]))));
      return element("tr", {},
        element("th", { scope: "row" }, shown(`${provider} / ${model}`)), element("td", { class: operation.startsWith("(") ? "none" : "" }, shown(operation)),
        element("td", { class: "number" }, count(attempts)), element("td", { class: "number" }, percent(ratio(failed, attempts))),
        ...LATENCIES.map((index) => of("latency", index)), of("ttft", 0, true), of("ttft", 1, true));
    }));
    const select = byId("series");
    select.replaceChildren(...order.map((place) => element("option", { value: place, selected: place === state.series }, shown(performance.series[place].join(" / ")))));
    if (!order.includes(state.series)) state.series = order[0] ?? 0;
    select.value = state.series;
    drawLatency((found[state.series]?.days ?? []).map((row) => ({
      start: origin + performance.day[row] * DAY, label: dateOf(performance.day[row]), latency: performance.latency[row],
    })));
  }

  // ---- controls

  function presets() {
    const last = dayOf(facts.asOf), previous = dateOf(month.from - 1);
    const first = Math.min(...data.joint.starts);
    return [
      ["month", monthName(facts.month), month.from, month.to],
      ...(first < month.from ? [["before", monthName(previous), dayOf(`${previous.slice(0, 8)}01`), month.from - 1]] : []),
      ["7", "last 7 days", last - 6, last],
      ["30", "last 30 days", last - 29, last],
      ["all", "all of the page", first, month.to],
    ];
  }

  function fillControls() {
    const options = presets();
    const now = options.find(([, , from, to]) => from === state.from && to === state.to);
    byId("preset").replaceChildren(
      ...options.map(([value, title]) => element("option", { value }, title)), ...(now ? [] : [element("option", { value: "" }, "these days")]));
    byId("preset").value = now ? now[0] : "";
    for (const [id, day] of [["from", state.from], ["to", state.to]]) {
      Object.assign(byId(id), { value: dateOf(day), min: dateOf(Math.min(...data.joint.starts)), max: facts.last });
    }
    for (const pick of document.querySelectorAll(".pick")) {
      const { name, title, plural } = dimensions.find((each) => each.name === pick.dataset.dimension);
      const chosen = state.filters.get(name);
      const said = !chosen ? "all" : chosen.size === 1 ? shown([...chosen][0]) : `${chosen.size} ${plural}`;
      pick.querySelector("summary").textContent = `${title}: ${said}`;
      pick.classList.toggle("active", Boolean(chosen));
      if (pick.open) fillChoices(pick);
    }
    byId("by").value = state.by;
    if (byId("tag")) byId("tag").value = state.tag;
  }

  /** The members of a dimension to tick, those that are ticked first; more than can be looked through want a search. */
  function fillChoices(pick) {
    const { name, plural } = dimensions.find((each) => each.name === pick.dataset.dimension);
    const chosen = state.filters.get(name) ?? new Set();
    const all = [...new Set([...data.joint.names[name], ...chosen])].sort((one, other) => chosen.has(other) - chosen.has(one));
    const wanted = (pick.querySelector("input[type=search]")?.value ?? "").toLowerCase();
    const found = all.filter((member) => member.toLowerCase().includes(wanted));
    const list = element("ul", {},
      ...found.slice(0, CHOICES).map((member) =>
        element("li", {}, element("label", {},
          element("input", { type: "checkbox", value: member, checked: chosen.has(member), onchange: () => choose(() => toggle(name, member)) }),
          element("span", {}, breakable(member))))),
      found.length > CHOICES ? element("li", {}, `${count(found.length - CHOICES)} more: type a part of the name`) : null,
      found.length ? null : element("li", {}, `no ${plural} like this`));
    const panel = pick.querySelector(".choices");
    const before = panel.querySelector("ul");
    if (before) {
      list.scrollTop = before.scrollTop;
      const focused = document.activeElement?.value;
      const had = before.contains(document.activeElement);
      before.replaceWith(list);
      if (had) [...list.querySelectorAll("input")].find((input) => input.value === focused)?.focus();
    } else {
      if (all.length > TOP) panel.append(element("input", { type: "search", placeholder: `find ${plural}`, "aria-label": `Find ${plural}`, oninput: () => fillChoices(pick) }));
      panel.append(list);
    }
  }

  function fillSelection({ total, from, to }) {
    const widened = from !== state.from || to !== state.to;
    const unknown = notKnown();
    const priced = total.unpriced_requests ? `${count(total.unpriced_requests)} attempts without a price are in no amount` : total.attempts ? "all of it has a price" : "no usage is like this";
    byId("selection").replaceChildren(
      element("strong", { id: "selected-cost", title: exactUsd(total.cost), "data-exact": exactUsd(total.cost) }, usd(total.cost)),
      ` for ${count(total.requests)} requests, ${tokens(total.total_tokens)} tokens (${tokens(total.input_tokens)} in, ${tokens(total.output_tokens)} out); `,
      `${priced}. ${spanOf(from, to)}.`,
      unknown.length ? element("span", { class: "snapped" }, ` The filters of this page know no ${unknown.join(", no ")}.`) : "",
      widened ? element("span", { class: "snapped" }, " Old days, and days under a filter, are known by whole weeks or months.") : "");
  }

  function listen() {
    byId("preset").addEventListener("change", (event) => {
      const found = presets().find(([value]) => value === event.target.value);
      if (found) choose(() => ([, , state.from, state.to] = found));
    });
    for (const id of ["from", "to"]) {
      byId(id).addEventListener("change", (event) => {
        if (!event.target.value) return;
        choose(() => {
          state[id] = dayOf(event.target.value);
          if (state.from > state.to) state[id === "from" ? "to" : "from"] = state[id];
        });
      });
    }
    byId("reset").addEventListener("click", () => choose(() => Object.assign(state, { ...month, filters: new Map(), sort: "cost" })));
    byId("by").replaceChildren(...dimensions.map(({ name, title }) => element("option", { value: name }, title.toLowerCase())));
    byId("by").addEventListener("change", (event) => choose(() => (state.by = event.target.value)));
    byId("tag")?.replaceChildren(...data.tags.keys.map((key) => element("option", { value: key }, shown(key))));
    byId("tag")?.addEventListener("change", (event) => choose(() => (state.tag = event.target.value)));
    byId("series").addEventListener("change", (event) => { state.series = Number(event.target.value); fillLatencies(); });
    for (const button of document.querySelectorAll("[data-all]")) {
      const id = `by-${button.dataset.all}`;
      button.addEventListener("click", () => { if (!state.open.delete(id)) state.open.add(id); render(); });
    }
    const sorts = { Cost: "cost", Requests: "requests", Tokens: "total_tokens" };
    for (const head of document.querySelectorAll(".members thead th")) {
      const sort = sorts[head.textContent];
      if (sort) head.replaceChildren(element("button", { type: "button", class: "sort", "data-sort": sort, onclick: () => choose(() => (state.sort = sort)) }, head.textContent));
    }
    const picks = [...document.querySelectorAll(".pick")];
    for (const pick of picks) {
      pick.addEventListener("toggle", () => {
        if (!pick.open) return;
        for (const other of picks) if (other !== pick) other.open = false;
        fillChoices(pick);
        const panel = pick.querySelector(".choices");
        panel.style.left = "";
        const over = panel.getBoundingClientRect().right - document.documentElement.clientWidth + 8;
        if (over > 0 && getComputedStyle(panel).position === "absolute") panel.style.left = `${-over}px`;
      });
    }
    document.addEventListener("click", (event) => { for (const pick of picks) if (!pick.contains(event.target) && event.target.isConnected) pick.open = false; });
    document.addEventListener("keydown", (event) => {
      const open = event.key === "Escape" && picks.find((pick) => pick.open);
      if (open) { open.open = false; open.querySelector("summary").focus(); }
    });
    window.addEventListener("hashchange", () => { if (location.hash.includes("=") || !location.hash) { readAddress(); render(); } });
  }

  function render() {
    const usage = chosenUsage();
    for (const { name, plural, others } of dimensions) {
      fillMembers(`by-${name}`, usage.members.get(name), { plural, others }, usage.total, pressable(name));
    }
    const [periods, labels] = periodsOf(usage);
    fillDays(periods, usage.total);
    fillNobodys(usage);
    fillTags();
    fillSelection(usage);
    fillControls();
    drawDays(periods, labels);
    drawErrors(periods);
    fillLatencies();
  }

  // ---- the data, packed as it is in the page

  async function unpacked(text) {
    const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  async function start() {
    for (const details of document.querySelectorAll("details.as-table, details.words")) details.open = false;
    if (matchMedia("(max-width: 44rem)").matches) document.querySelector(".more-filters").open = false;
    data = await unpacked(byId("data").textContent);
    for (const columns of [data.joint, ...Object.values(data.single), data.tags]) prepared(columns);
    readAddress();
    document.documentElement.classList.add("ready");
    listen();
    render();
    drawRunning(facts);
    document.documentElement.dataset.ready = "yes";
  }

  start().catch((error) => {
    document.documentElement.classList.remove("js", "ready");
    byId("problem").hidden = false;
    byId("problem").textContent = "This browser can't filter the page: every table stands here for the whole month. Newer browsers can.";
    console.error(error);
  });
})();
