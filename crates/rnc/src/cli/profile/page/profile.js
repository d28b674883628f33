// A profile: a timeline with a row for each thread, and a table of steps.

(() => {
  const { profile, spans } = page;
  const { steps } = profile;
  const total = steps.reduce((sum, step) => sum + step.median_us, 0);
  const flops = steps.reduce((sum, step) => sum + step.flops, 0);
  document.title = `${profile.model} — rnc profile`;
  find("title").textContent = `${profile.model}: ${(profile.run_median_us / 1e3).toFixed(2)} ms a run`;
  find("summary").append(...entries([
    ["batch", profile.batch], ["threads", profile.threads], ["instruction set", profile.isa], ["runs", profile.runs],
    ["steps", `${(total / 1e3).toFixed(2)} ms, ${(flops / total / 1e3).toFixed(1)} GFLOP/s`],
    ["machine", `${profile.machine}, at most ${profile.peak_gflops.toFixed(0)} GFLOP/s and ${profile.peak_gb_per_s.toFixed(1)} GB/s`],
  ]));

  // Kinds of kernels in the order of the time that they take, each with a colour.
  const sums = new Map();
  steps.forEach((step) => sums.set(step.kind, (sums.get(step.kind) ?? 0) + step.median_us));
  const kinds = [...sums.keys()].sort((a, b) => sums.get(b) - sums.get(a));
  const colour = (kind) => `hsl(${(kinds.indexOf(kind) * 137.5 + 212) % 360} 62% 56%)`;
  find("legend").append(...kinds.flatMap((kind) => [element("span", { class: "key", style: `background:${colour(kind)}` }), `${kind} ${(sums.get(kind) / total * 100).toFixed(1)} %`]),
    element("span", { class: "key", style: "background:var(--line)" }), "wait for other threads");

  const rows = new Map();
  function timeline() {
    const chart = find("timeline"), hover = find("hover");
    const threads = Math.max(...spans.map((span) => span.thread)) + 1, end = Math.max(...spans.map((span) => span.start + span.work + span.wait));
    const width = 1200, left = 62, row = 34, height = threads * row + 24;
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    let shown = [0, end], from;
    const x = (us) => left + (us - shown[0]) / (shown[1] - shown[0]) * (width - left);
    const time = (event) => {
      const box = chart.getBoundingClientRect();
      const at = (event.clientX - box.left) / box.width * width;
      return shown[0] + (Math.min(Math.max(at, left), width) - left) / (width - left) * (shown[1] - shown[0]);
    };
    function point(span) {
      const step = steps[span.step];
      hover.textContent = `thread ${span.thread}, step ${step.index}: ${step.name}, ${step.kernel}: ${span.work.toFixed(1)} µs of work, ${span.wait.toFixed(1)} µs of waiting, ${span.tasks} tasks`;
      chart.querySelectorAll(".work").forEach((each) => each.classList.toggle("same", +each.dataset.step === span.step));
    }
    function bar(span) {
      const y = span.thread * row + 4, ends = [span.start + span.work, span.start + span.work + span.wait];
      if (ends[1] <= shown[0] || span.start >= shown[1]) return [];
      const clip = (us) => x(Math.min(Math.max(us, shown[0]), shown[1]));
      const part = (a, b, more) => svg("rect", { x: clip(a), y, width: Math.max(clip(b) - clip(a), 0), height: row - 8, onmouseover: () => point(span), ...more });
      const wait = part(ends[0], ends[1], { class: "wait" });
      return span.tasks > 0 ? [wait, part(span.start, ends[0], { class: "work", fill: colour(steps[span.step].kind), "data-step": span.step, onclick: () => rows.get(span.step).scrollIntoView({ block: "center" }) })] : [wait];
    }
    function draw() {
      const ticks = [0, 1, 2, 3, 4, 5, 6].map((i) => shown[0] + (shown[1] - shown[0]) * i / 6);
      chart.replaceChildren(
        ...spans.flatMap(bar),
        ...Array.from({ length: threads }, (_, i) => svg("text", { x: 0, y: i * row + 22 }, `thread ${i}`)),
        ...ticks.map((us, i) => svg("text", { x: x(us), y: height - 6, "text-anchor": i === 0 ? "start" : i === 6 ? "end" : "middle" }, `${(us / 1e3).toFixed(2)} ms`)));
    }
    const selection = svg("rect", { class: "selection", y: 0, height: threads * row });
    chart.addEventListener("mousedown", (event) => { from = time(event); event.preventDefault(); });
    window.addEventListener("mousemove", (event) => {
      if (from === undefined) return;
      const [a, b] = [from, time(event)].sort((p, q) => p - q);
      selection.setAttribute("x", x(a));
      selection.setAttribute("width", x(b) - x(a));
      chart.append(selection);
    });
    window.addEventListener("mouseup", (event) => {
      if (from === undefined) return;
      const range = [from, time(event)].sort((p, q) => p - q);
      from = undefined;
      selection.remove();
      if (range[1] - range[0] > (shown[1] - shown[0]) / 200) { shown = range; draw(); }
    });
    find("all").addEventListener("click", () => { shown = [0, end]; draw(); });
    draw();
  }

  function table() {
    const number = (digits) => (value) => value.toFixed(digits);
    const columns = [["index", "step", String], ["name", "name"], ["kernel", "kernel"], ["tile", "tile", (tile) => (tile ? tile.join("×") : "")], ["share", "share"],
      ["median_us", "µs", number(1)], ["minimum_us", "least", number(1)], ["gflops", "GFLOP/s", number(1)], ["percent_of_roof", "% of roof", number(0)], ["bound", "bound by"]];
    const head = document.querySelector("#steps thead"), body = document.querySelector("#steps tbody");
    const isNumber = (key) => typeof steps[0]?.[key] === "number";
    let sorted, descending;
    function cell(step, [key, , format]) {
      if (key === "share") return element("td", {}, element("span", { class: "bar", style: `width:${(step.share * 400).toFixed(1)}px;background:${colour(step.kind)}` }), `${(step.share * 100).toFixed(1)} %`);
      return element("td", isNumber(key) ? { class: "number" } : {}, format ? format(step[key]) : step[key]);
    }
    function sort(key) {
      descending = sorted === key ? !descending : isNumber(key) && key !== "index";
      sorted = key;
      const order = [...steps].sort((a, b) => (a[key] < b[key] ? -1 : a[key] > b[key] ? 1 : a.index - b.index));
      body.replaceChildren(...(descending ? order.reverse() : order).map((step) => rows.get(step.index)));
      head.querySelectorAll("th").forEach((each) => each.setAttribute("aria-sort", each.dataset.key !== key ? "none" : descending ? "descending" : "ascending"));
    }
    head.append(element("tr", {}, ...columns.map(([key, title]) => element("th", { "data-key": key, class: isNumber(key) && key !== "share" ? "number" : undefined, onclick: () => sort(key) }, title))));
    steps.forEach((step) => rows.set(step.index, element("tr", {}, ...columns.map((column) => cell(step, column)))));
    sort("median_us");
  }

  table();
  timeline();
})();
