"use strict";
// Sums of the usage and how they are written: the same rules as figures.py and answers/formats.py, to the same text.

const UNKNOWN = "-";
const UNALLOCATED = "(unallocated)";
const UNRESOLVED = "(unresolved)";
const MEASURES = [
  "requests", "attempts", "errors", "blocked_requests", "input_tokens", "output_tokens", "cache_read_tokens",
  "total_tokens", "unpriced_requests", "unpriced_tokens",
];
const PICO = 10n ** 12n;
const CENT = 10n ** 10n;

/** Typed columns. Both halves of an amount are whole numbers below 2^53, so sums of doubles are exact. */
function prepared(columns) {
  columns.micro = Float64Array.from(columns.micro, (value) => (value === null ? NaN : value));
  columns.pico = Float64Array.from(columns.pico);
  columns.period = Uint32Array.from(columns.period);
  columns.measures ??= Object.fromEntries(MEASURES.filter((name) => columns[name]).map((name) => [name, columns[name]]));
  for (const name of Object.keys(columns.measures)) columns.measures[name] = Float64Array.from(columns.measures[name]);
  for (const name of Object.keys(columns.members ?? {})) columns.members[name] = Uint32Array.from(columns.members[name]);
  return columns;
}

/** The numbers of the rows whose period begins on these days, and whose members are allowed where that is said. */
function chosenRows(columns, from, to, allowed = []) {
  const periods = Uint8Array.from(columns.starts, (start) => (start >= from && start <= to ? 1 : 0));
  const found = new Uint32Array(columns.period.length);
  let count = 0;
  for (let row = 0; row < found.length; row++) {
    if (!periods[columns.period[row]]) continue;
    if (allowed.every(([codes, kept]) => kept[codes[row]])) found[count++] = row;
  }
  return found.subarray(0, count);
}

/** Sums of the rows by a column of codes; a Sums for each code that a row has, in a Map. */
function grouped(columns, rows, codes, size) {
  const seen = new Uint8Array(size), known = new Uint8Array(size);
  const micro = new Float64Array(size), pico = new Float64Array(size);
  for (const row of rows) {
    const code = codes[row];
    seen[code] = 1;
    if (!Number.isNaN(columns.micro[row])) {
      known[code] = 1;
      micro[code] += columns.micro[row];
      pico[code] += columns.pico[row];
    }
  }
  const measures = {};
  for (const [name, column] of Object.entries(columns.measures)) {
    const sums = (measures[name] = new Float64Array(size));
    for (const row of rows) sums[codes[row]] += column[row];
  }
  const found = new Map();
  for (let code = 0; code < size; code++) {
    if (!seen[code]) continue;
    const sums = { cost: known[code] ? BigInt(micro[code]) * 1000000n + BigInt(pico[code]) : null };
    for (const name of MEASURES) sums[name] = measures[name]?.[code] ?? 0;
    found.set(code, sums);
  }
  return found;
}

function added(all) {
  const sums = { cost: null };
  for (const name of MEASURES) sums[name] = 0;
  for (const each of all) {
    for (const name of MEASURES) sums[name] += each[name];
    if (each.cost !== null) sums.cost = (sums.cost ?? 0n) + each.cost;
  }
  return sums;
}

const ORDERS = {
  cost: (one, other) => falling(one.cost, other.cost) || other.total_tokens - one.total_tokens,
  requests: (one, other) => other.requests - one.requests || falling(one.cost, other.cost),
  total_tokens: (one, other) => other.total_tokens - one.total_tokens || falling(one.cost, other.cost),
};

/** The first members, all others in one, those that the data does not name, and what is nobody's: the total. */
function parts(members, { plural, others }, top, order = "cost") {
  const named = [...members.keys()]
    .filter((name) => name !== UNALLOCATED && name !== others)
    .sort((one, other) => ORDERS[order](members.get(one), members.get(other)) || (one < other ? -1 : 1));
  const shown = named.slice(0, top).map((name) => ({ kind: "top", name, sums: members.get(name) }));
  const rest = named.slice(top);
  if (rest.length === 1) shown.push({ kind: "top", name: rest[0], sums: members.get(rest[0]) });
  else if (rest.length) {
    const sums = added(rest.map((name) => members.get(name)));
    shown.push({ kind: "more", name: `${count(rest.length)} more ${plural}`, sums });
  }
  if (members.has(others)) shown.push({ kind: "others", name: others, sums: members.get(others) });
  if (members.has(UNALLOCATED)) shown.push({ kind: "nobody", name: UNALLOCATED, sums: members.get(UNALLOCATED) });
  return shown;
}

/** $1,234.50 of an amount in 10^-12 USD, half a cent up; below one cent, two digits that say something. */
function usd(amount) {
  if (amount === null) return UNKNOWN;
  const size = amount < 0n ? -amount : amount;
  let text;
  if (size === 0n || size >= CENT) {
    const cents = (size + CENT / 2n) / CENT;
    text = `${thousands(String(cents / 100n))}.${String(cents % 100n).padStart(2, "0")}`;
  } else {
    const step = 10n ** BigInt(Math.max(0, String(size).length - 2));
    const rounded = ((size + step / 2n) / step) * step;
    text = `0.${String(rounded).padStart(12, "0").replace(/0+$/, "")}`;
  }
  return `${amount < 0n ? "-" : ""}$${text}`;
}

/** All digits of an amount that say something, cents at least. */
function exactUsd(amount) {
  if (amount === null) return "";
  const size = amount < 0n ? -amount : amount;
  const digits = String(size % PICO).padStart(12, "0").replace(/0+$/, "").padEnd(2, "0");
  return `${amount < 0n ? "-" : ""}$${thousands(String(size / PICO))}.${digits}`;
}

/** An amount out of a decimal text. */
function picoOf(text) {
  const [whole, digits = ""] = text.replace("-", "").split(".");
  const size = BigInt(whole) * PICO + BigInt(digits.padEnd(12, "0").slice(0, 12));
  return text.startsWith("-") ? -size : size;
}

/** A number to draw with; never to show. */
const drawn = (amount) => Number(amount ?? 0n) / 1e12;

const thousands = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ",");
const count = (number) => (number === null ? UNKNOWN : thousands(String(number)));

/** Millions where there are many. */
function tokens(number) {
  if (number < 1e6) return count(number);
  const tenths = Math.floor((number + 50000) / 100000);
  return `${count(Math.floor(tenths / 10))}.${tenths % 10} M`;
}

/** part / whole in millionths, rounded half-up; null when either is not known or the whole is 0. */
function ratio(part, whole) {
  if (part === null || whole === null) return null;
  const [above, below] = [BigInt(part), BigInt(whole)];
  if (below === 0n) return null;
  const negative = above < 0n !== below < 0n && above !== 0n;
  const [top, bottom] = [above < 0n ? -above : above, below < 0n ? -below : below];
  const found = (top * 2000000n + bottom) / (bottom * 2n);
  return negative ? -found : found;
}

/** 12.3% of millionths; a share that is not 0 never reads 0.0%, one that is not all never 100.0%. */
function percent(share) {
  if (share === null) return UNKNOWN;
  if (share > 0n && share < 1000n) return "<0.1%";
  if (share > 999000n && share < 1000000n) return ">99.9%";
  const size = share < 0n ? -share : share;
  const tenths = (size + 500n) / 1000n;
  return `${share < 0n ? "-" : ""}${tenths / 10n}.${tenths % 10n}%`;
}

function time(milliseconds) {
  if (milliseconds === null) return UNKNOWN;
  if (milliseconds < 1000) return `${milliseconds} ms`;
  const hundredths = Math.floor((milliseconds + 5) / 10);
  return `${Math.floor(hundredths / 100)}.${String(hundredths % 100).padStart(2, "0")} s`;
}

function middle(values) {
  const known = values.filter((value) => value !== null).sort((one, other) => one - other);
  return known.length ? known[(known.length - 1) >> 1] : null;
}

function falling(one, other) {
  if (one === null || other === null) return (one === null) - (other === null);
  return one === other ? 0 : one > other ? -1 : 1;
}
