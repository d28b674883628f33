// What all parts use.

const page = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);

// An element with attributes and children; text needs no escape.
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  return filled(node, attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== undefined));
  return node;
}

// A definition list's entries.
function entries(pairs) {
  return pairs.filter(([, value]) => value !== undefined).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
}

function bytes(n) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) if (n >= size) return `${(n / size).toFixed(1)} ${unit}`;
  return `${n} B`;
}

function short(x) {
  return Math.abs(x) >= 1e4 || (x !== 0 && Math.abs(x) < 1e-3) ? x.toExponential(2) : String(+x.toFixed(4));
}

// Ways to go to another part of the report; the parts put themselves here.
const go = {};
