// The work of each step, and after a profiled run its time.

(() => {
  const { profile } = page;
  const steps = page.report.steps.map((step, i) => ({ ...step, ...(profile ? profile.steps[i] : {}) }));
  const total = steps.reduce((sum, step) => sum + (step.median_us ?? 0), 0);
  const number = (digits) => (value) => value.toFixed(digits);
  const columns = [
    ["index", "step", String], ["name", "name"], ["kernel", "kernel"], ["source", "source"], ["result", "result"],
    ["flops", "MFLOP", (n) => (n / 1e6).toFixed(1)], ["bytes", "MB", (n) => (n / 1e6).toFixed(2)], ["intensity", "FLOP/byte", number(1)],
  ];
  if (profile) {
    columns.push(["median_us", "µs", number(1)], ["minimum_us", "least", number(1)], ["share", "share"], ["gflops", "GFLOP/s", number(1)],
      ["percent_of_roof", "% of roof", number(0)], ["bound", "bound by"]);
    steps.forEach((step) => { step.share = total > 0 ? step.median_us / total : 0; });
  }
  const work = steps.reduce((sum, step) => sum + step.flops, 0);
  find("layers-words").textContent = profile
    ? `${(total / 1e3).toFixed(2)} ms in all steps (sum of medians of ${profile.runs} runs), ${(work * profile.batch / total / 1e3).toFixed(1)} GFLOP/s; batch ${profile.batch}, `
      + `${profile.threads} thread${profile.threads === 1 ? "" : "s"}, ${profile.isa}; ${profile.machine}: at most ${profile.peak_gflops.toFixed(0)} GFLOP/s and ${profile.peak_gb_per_s.toFixed(1)} GB/s on these threads. `
      + "Operations are those of the model: Winograd and Strassen do with fewer, and can be beyond 100 %. Bytes that are in a cache come faster than the memory roof says."
    : `${(work / 1e9).toFixed(2)} GFLOP a sample. With --profile, the report has the time of each step.`;

  function cell(step, [key, , format]) {
    const value = step[key];
    if (key === "share") {
      return element("td", {}, element("span", { class: "bar", style: `width:${(value * 400).toFixed(1)}px` }), `${(value * 100).toFixed(1)} %`);
    }
    return element("td", typeof value === "number" ? { class: "number" } : {}, format ? format(value) : value);
  }

  const body = document.querySelector("#layers-table tbody"), head = document.querySelector("#layers-table thead");
  const rows = new Map(steps.map((step) => [step, element("tr", { "data-name": step.name, title: "show in the graph", onclick: () => go.node("optimized", step.name) }, ...columns.map((column) => cell(step, column)))]));
  let sorted = "index", descending = false;

  function sort(key) {
    // Numbers are looked at from the largest, texts and steps from the first.
    descending = sorted === key ? !descending : typeof steps[0]?.[key] === "number" && key !== "index";
    sorted = key;
    const order = [...steps].sort((a, b) => (a[key] < b[key] ? -1 : a[key] > b[key] ? 1 : a.index - b.index));
    body.replaceChildren(...(descending ? order.reverse() : order).map((step) => rows.get(step)));
    head.querySelectorAll("th").forEach((each) => each.setAttribute("aria-sort", each.dataset.key !== key ? "none" : descending ? "descending" : "ascending"));
  }

  head.append(element("tr", {}, ...columns.map(([key, title]) => element("th", { "data-key": key, class: typeof steps[0]?.[key] === "number" ? "number" : undefined, onclick: () => sort(key) }, title))));
  body.append(...rows.values());

  // Work a byte against work a second, both in powers of ten.
  function roofline() {
    const shown = steps.filter((step) => step.flops > 0 && step.median_us > 0);
    if (!shown.length) return;
    const width = 1180, height = 330, left = 60, bottom = 36, top = 14;
    const lg = Math.log10, all = shown.map((step) => step.intensity);
    const [x0, x1] = [Math.floor(lg(Math.min(...all))), Math.ceil(lg(Math.max(...all, profile.peak_gflops / profile.peak_gb_per_s * 2)))];
    const [y0, y1] = [Math.floor(lg(Math.min(...shown.map((step) => step.gflops)))), Math.ceil(lg(Math.max(profile.peak_gflops, ...shown.map((step) => step.gflops))) * 10) / 10 + 0.05];
    const x = (v) => left + (width - left - 12) * (lg(v) - x0) / (x1 - x0), y = (v) => height - bottom - (height - bottom - top) * (lg(v) - y0) / (y1 - y0);
    const chart = find("roofline");
    chart.removeAttribute("hidden");
    chart.setAttribute("class", "chart");
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    for (let e = x0; e <= x1; e++) chart.append(svg("line", { class: "axis", x1: x(10 ** e), x2: x(10 ** e), y1: top, y2: height - bottom }), svg("text", { x: x(10 ** e), y: height - bottom + 15, "text-anchor": e === x1 ? "end" : "middle" }, String(10 ** e)));
    for (let e = y0; e <= y1; e++) chart.append(svg("line", { class: "axis", x1: left, x2: width - 12, y1: y(10 ** e), y2: y(10 ** e) }), svg("text", { x: left - 8, y: y(10 ** e) + 4, "text-anchor": "end" }, String(10 ** e)));
    const ridge = profile.peak_gflops / profile.peak_gb_per_s;
    const start = Math.max(10 ** x0, 10 ** y0 / profile.peak_gb_per_s);
    chart.append(svg("path", { class: "roof", d: `M${x(start)} ${y(start * profile.peak_gb_per_s)}L${x(ridge)} ${y(profile.peak_gflops)}L${x(10 ** x1)} ${y(profile.peak_gflops)}` }),
      svg("text", { x: width - 16, y: height - 6, "text-anchor": "end" }, "FLOP/byte (up: GFLOP/s); area: share of the time"));
    shown.forEach((step) => chart.append(svg("circle", { class: "dot", cx: x(step.intensity), cy: y(step.gflops), r: 3 + 26 * Math.sqrt(step.share), onclick: () => go.node("optimized", step.name) },
      svg("title", {}, `${step.name}: ${step.kernel}\n${step.gflops.toFixed(1)} GFLOP/s, ${step.percent_of_roof.toFixed(0)} % of the roof, ${(step.share * 100).toFixed(1)} % of the time`))));
  }
  if (profile) roofline();
})();
