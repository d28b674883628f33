// The memory plan: buffers as rectangles over steps and bytes.

(() => {
  const buffers = page.report.memory, plan = page.report.plan, steps = page.report.steps;
  const width = 1180, height = 460, left = 70, bottom = 34, top = 16;
  const last = Math.max(1, steps.length), most = Math.max(plan.arena_bytes, 1);
  const x = (step) => left + (width - left - 10) * step / last;
  const y = (byte) => height - bottom - (height - bottom - top) * byte / most;

  const more = plan.arena_bytes - plan.arena_lower_bound;
  find("memory-words").textContent = `${buffers.length} buffers in ${bytes(plan.arena_bytes)} a sample. Least possible for these lifetimes: ${bytes(plan.arena_lower_bound)}`
    + (more > 0 ? `; the plan takes ${bytes(more)} more.` : ", which is what the plan takes.")
    + " A buffer is alive from the step that first writes it to the last that reads it; the height is its size.";

  const chart = find("memory-chart");
  chart.setAttribute("class", "chart");
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const say = (buffer) => () => {
    const until = buffer.first_step === buffer.last_step ? `step ${buffer.first_step}` : `steps ${buffer.first_step} to ${buffer.last_step}`;
    find("memory-hover").textContent = `${buffer.name}: ${bytes(buffer.bytes)} at byte ${buffer.offset}, alive in ${until} (${steps[buffer.first_step].name} … ${steps[buffer.last_step].name})`;
  };
  for (let i = 0; i <= 4; i++) {
    const byte = most * i / 4, step = Math.round(last * i / 4);
    chart.append(svg("line", { class: "axis", x1: left, x2: width - 10, y1: y(byte), y2: y(byte) }),
      svg("text", { x: left - 8, y: y(byte) + 4, "text-anchor": "end" }, bytes(Math.round(byte))),
      svg("text", { x: x(step), y: height - bottom + 18, "text-anchor": i === 4 ? "end" : "middle" }, i === 4 ? `${step} steps` : String(step)));
  }
  buffers.forEach((buffer, i) => {
    // A colour for each that its neighbours do not have: turned by the golden angle.
    const fill = `hsl(${(i * 137.5) % 360} 55% 62%)`;
    chart.append(svg("rect", {
      class: "buffer", fill, x: x(buffer.first_step), width: x(buffer.last_step + 1) - x(buffer.first_step), y: y(buffer.offset + buffer.bytes),
      height: y(buffer.offset) - y(buffer.offset + buffer.bytes), onmouseenter: say(buffer), onclick: () => go.node("optimized", buffer.name),
    }, svg("title", {}, buffer.name)));
  });
  const level = (name, byte, text, dy) => chart.append(svg("line", { class: name, x1: left, x2: width - 10, y1: y(byte), y2: y(byte) }),
    svg("text", { class: `${name}-label`, x: width - 14, y: y(byte) + dy, "text-anchor": "end" }, text));
  level("bound", plan.arena_lower_bound, `lower bound ${bytes(plan.arena_lower_bound)}`, 13);
  level("peak", plan.arena_bytes, `peak ${bytes(plan.arena_bytes)}`, -4);
})();
