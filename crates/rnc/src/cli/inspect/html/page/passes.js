// What the passes did, and what they nearly did.

(() => {
  const { passes } = page;
  if (!passes) {
    find("passes-words").textContent = "A plan does not say how it was made. Make the report of the model: rnc inspect MODEL --html FILE.";
    for (const id of ["passes-table", "log-search", "log-table"]) find(id).hidden = true;
    return;
  }
  const applied = passes.log.filter((entry) => entry.applied).length;
  find("passes-words").textContent = `${applied} rewrites, ${passes.log.length - applied} near misses.`;
  const number = (n) => element("td", { class: "number" }, String(n));
  document.querySelector("#passes-table tbody").append(...passes.counts.map((count) =>
    element("tr", { class: count.applied + count.refused ? undefined : "refused" }, element("td", {}, count.pass), number(count.applied), number(count.refused), element("td", {}, count.about))));
  const rows = passes.log.map((entry) => [`${entry.pass} ${entry.node} ${entry.applied ? "applied" : "refused"} ${entry.text}`.toLowerCase(),
    element("tr", { class: entry.applied ? undefined : "refused" }, element("td", {}, entry.pass), element("td", {}, entry.node), element("td", {}, entry.applied ? "applied" : "refused"), element("td", {}, entry.text))]);
  document.querySelector("#log-table tbody").append(...rows.map(([, row]) => row));
  find("log-search").addEventListener("input", (event) => {
    const words = event.target.value.trim().toLowerCase().split(/\s+/);
    rows.forEach(([text, row]) => { row.hidden = !words.every((word) => text.includes(word)); });
  });
})();
