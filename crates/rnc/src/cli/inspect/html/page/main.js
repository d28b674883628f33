// The head of the page, and the tabs.

(() => {
  const { name, plan } = page.report;
  const port = (each) => `${each.name} [${each.shape.join(", ")}]`;
  document.title = `${name} — rnc`;
  find("title").textContent = name;
  const operators = [page.imported, page.optimized].map((picture) => picture.nodes.filter((node) => node.operator !== "input").length);
  find("summary").append(...entries([
    ["file", page.file],
    ["inputs", plan.inputs.map(port).join(", ")], ["outputs", plan.outputs.map(port).join(", ")],
    ["operators", `${operators[0]} → ${operators[1]}`], ["steps", `${plan.step_count} (${plan.kernels})`], ["work", `${(plan.flops / 1e9).toFixed(2)} GFLOP a sample`],
    ["weights", bytes(plan.data_bytes)], ["activations", `${bytes(plan.arena_bytes)} a sample`], ["made by", plan.producer],
  ]));

  const tabs = [...document.querySelectorAll("[role=tab]")];
  go.tab = (wanted) => tabs.forEach((tab) => {
    const chosen = tab.dataset.tab === wanted;
    tab.setAttribute("aria-selected", chosen);
    find(tab.dataset.tab).hidden = !chosen;
  });
  tabs.forEach((tab) => tab.addEventListener("click", () => go.tab(tab.dataset.tab)));
  graph.show("optimized");
})();
