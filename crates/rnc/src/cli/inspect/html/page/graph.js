// The graph before and after the passes.

const graph = (() => {
  const canvas = find("canvas"), drawing = find("drawing"), details = find("details");
  const viewport = new Viewport(canvas, drawing);
  const pictures = { imported: page.imported, optimized: page.optimized };
  // By picture: a group of boxes and lines, drawn when it is first seen.
  const drawn = {};
  let shown, selected, matches = [], match = -1;

  function box(node, index) {
    const [x, y] = node.at, [width, height] = node.size;
    const classes = `box${node.outputs.length ? " output" : ""}`;
    return svg("g", { class: classes, "data-index": index, transform: `translate(${x} ${y})` },
      svg("rect", { class: node.kind, x: -width / 2, y: -height / 2, width, height, rx: 6 }),
      svg("text", { y: -10 }, node.lines[0]), svg("text", { y: 5, class: "name" }, node.lines[1]), svg("text", { y: 19, class: "type" }, node.lines[2]));
  }

  function line(picture, edge) {
    const from = picture.nodes[edge.from], to = picture.nodes[edge.to];
    const start = [from.at[0], from.at[1] + from.size[1] / 2], end = [to.at[0], to.at[1] - to.size[1] / 2 - 6];
    const points = [start, ...edge.through, end];
    let path = `M${start}`;
    for (let i = 1; i < points.length; i++) {
      const [[x, y], [nx, ny]] = [points[i - 1], points[i]], middle = (y + ny) / 2;
      path += x === nx ? `L${nx} ${ny}` : `C${x} ${middle} ${nx} ${middle} ${nx} ${ny}`;
    }
    const title = edge.label ? svg("title", {}, edge.label) : undefined;
    return svg("path", { class: edge.label ? "line labelled" : "line", d: path, "marker-end": "url(#arrow)" }, title);
  }

  function draw(picture) {
    const group = svg("g");
    picture.edges.forEach((edge) => group.append(line(picture, edge)));
    picture.boxes = picture.nodes.map(box);
    group.append(...picture.boxes);
    return group;
  }

  function show(which) {
    if (shown === which) return;
    shown = which;
    drawn[which] ??= draw(pictures[which]);
    drawing.replaceChildren(drawn[which]);
    for (const name of Object.keys(pictures)) find(`show-${name}`).setAttribute("aria-pressed", name === which);
    viewport.reset(pictures[which].size);
    select(undefined);
    search();
  }

  function select(index) {
    const { nodes, boxes } = pictures[shown];
    selected = index;
    boxes.forEach((each, i) => each.classList.toggle("selected", i === index));
    details.replaceChildren(...(index === undefined ? overview() : described(nodes[index])));
  }

  // Selects a node by its name and brings it to the middle.
  function goTo(which, name) {
    const index = pictures[which].nodes.findIndex((node) => node.name === name);
    if (index < 0) return;
    go.tab("graph");
    show(which);
    select(index);
    viewport.center(pictures[which].nodes[index].at);
  }

  function overview() {
    const { nodes } = pictures[shown];
    const counts = new Map();
    nodes.filter((node) => node.operator !== "input").forEach((node) => counts.set(node.operator, (counts.get(node.operator) ?? 0) + 1));
    const rows = [...counts].sort((a, b) => b[1] - a[1]).map(([operator, count]) => element("tr", {}, element("td", {}, operator), element("td", { class: "number" }, String(count))));
    return [element("h2", {}, shown === "imported" ? "The model as imported" : "The model after the passes"),
      element("p", {}, "Click a box for its attributes, shapes, weights, and where it comes from."),
      element("h3", {}, "Operators"), element("table", { id: "operators" }, ...rows)];
  }

  function described(node) {
    const output = node.outputs.length ? node.outputs.join(", ") : undefined;
    const attributes = node.attributes.map(([name, value]) => [name, value]);
    return [element("h2", {}, node.name),
      element("dl", {}, ...entries([["operator", node.operator], ["type", node.type], ["output", output], ...attributes])),
      ...operands(node), ...relatives(node), ...history(node)];
  }

  function operands(node) {
    if (!node.operands.length) return [];
    const rows = node.operands.map((operand) => {
      const label = operand.label ? `${operand.label} = ` : "";
      const name = operand.constant ? `@${operand.name}` : link(shown, operand.name);
      return element("div", { class: "operand" }, label, name, element("div", { class: "hint" }, operand.type), ...statistics(operand.statistics));
    });
    return [element("h3", {}, "Operands"), ...rows];
  }

  function statistics(found) {
    if (!found) return [];
    const most = Math.max(...found.histogram);
    const bars = found.histogram.map((count, i) => svg("rect", { x: i, width: 0.9, y: 30 - 30 * count / most, height: 30 * count / most }));
    const words = `${short(found.minimum)} … ${short(found.maximum)}, mean ${short(found.mean)}, deviation ${short(found.deviation)}`;
    const odd = [[found.zeros, "zero"], [found.not_finite, "not finite"]].filter(([count]) => count).map(([count, what]) => `, ${count} ${what}`);
    return [element("div", { class: "hint statistics" }, words + odd.join("")),
      svg("svg", { class: "histogram", viewBox: `0 0 ${bars.length} 30`, preserveAspectRatio: "none", "aria-label": "Histogram" }, ...bars)];
  }

  function link(which, name) {
    return element("button", { class: "link", onclick: () => goTo(which, name) }, `%${name}`);
  }

  function relatives(node) {
    if (!node.related.length) return page.passes && shown === "imported" ? [element("h3", {}, "After the passes"), element("p", {}, "nothing is left of it")] : [];
    const [title, other] = shown === "imported" ? ["Became part of", "optimized"] : ["Made of", "imported"];
    return [element("h3", {}, title), ...node.related.map((name) => element("div", { class: "relative" }, link(other, name)))];
  }

  function history(node) {
    if (!page.passes) return [element("p", { class: "hint" }, "A plan has no weights as the model had them and does not say which passes made it: make the report of the model for that.")];
    const names = new Set(node.names.map((name) => `%${name}`));
    const rows = page.passes.log.filter((entry) => names.has(unquoted(entry.node)))
      .map((entry) => element("p", { class: entry.applied ? "applied" : "refused" }, element("b", {}, entry.pass), ` ${entry.node}: ${entry.applied ? "" : "refused: "}${entry.text}`));
    const silent = node.passes.filter((pass) => !page.passes.log.some((entry) => entry.pass === pass && entry.applied && names.has(unquoted(entry.node))));
    const others = silent.map((pass) => element("p", { class: "applied" }, element("b", {}, pass), " changed it"));
    return rows.length + others.length ? [element("h3", {}, "Passes"), ...rows, ...others] : [];
  }

  // `%"a b"` is how the text syntax writes names with unusual letters.
  function unquoted(reference) {
    return reference.replace(/^%"(.*)"$/, (_, name) => `%${name.replace(/\\(.)/g, "$1")}`);
  }

  function text(node) {
    node.text ??= [node.name, node.operator, node.type, ...node.outputs, ...node.attributes.flat(), ...node.attributes.map((pair) => pair.join("="))].join("\n").toLowerCase();
    return node.text;
  }

  function search() {
    const { nodes, boxes } = pictures[shown];
    const words = find("search").value.trim().toLowerCase().split(/\s+/).filter((word) => word);
    matches = [];
    match = -1;
    nodes.forEach((node, i) => {
      const matched = words.length > 0 && words.every((word) => text(node).includes(word));
      if (matched) matches.push(i);
      boxes[i].classList.toggle("match", matched);
    });
    find("found").textContent = words.length ? `${matches.length} found` : "";
  }

  function nextMatch(step) {
    if (!matches.length) return;
    match = (match + step + matches.length) % matches.length;
    select(matches[match]);
    viewport.center(pictures[shown].nodes[matches[match]].at);
    find("found").textContent = `${match + 1} of ${matches.length}`;
  }

  drawing.before(svg("defs", {}, svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 1, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto", markerUnits: "userSpaceOnUse" },
    svg("path", { class: "arrow", d: "M0 0L8 4L0 8Z" }))));
  canvas.addEventListener("click", (event) => {
    if (viewport.dragged) return;
    const clicked = event.target.closest(".box");
    select(clicked ? Number(clicked.dataset.index) : undefined);
  });
  find("search").addEventListener("input", search);
  find("search").addEventListener("keydown", (event) => event.key === "Enter" && nextMatch(event.shiftKey ? -1 : 1));
  find("show-imported").addEventListener("click", () => show("imported"));
  find("show-optimized").addEventListener("click", () => show("optimized"));
  find("zoom-in").addEventListener("click", () => viewport.zoom(1.25));
  find("zoom-out").addEventListener("click", () => viewport.zoom(0.8));
  find("zoom-fit").addEventListener("click", () => viewport.fit());
  go.node = goTo;
  return { show };
})();
