(() => {
  const table = document.getElementById("customers"), body = table.tBodies[0], rows = [...body.rows];
  const find = document.getElementById("find"), found = document.getElementById("found");
  const heads = [...table.tHead.rows[0].cells];
  // Amounts may have more digits than a number holds: compare them as whole cents.
  const value = (row, column) => column ? BigInt(row.cells[1].textContent.trim().replace(/[.,]/g, "")) : row.cells[0].textContent.trim();
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(each => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = rows.map(row => [value(row, column), row]);
    keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1));
    body.append(...keyed.map(([, row]) => row));
  }));
  find.addEventListener("input", () => {
    const text = find.value.toLowerCase();
    let shown = 0;
    for (const row of rows) { row.hidden = !row.cells[0].textContent.toLowerCase().includes(text); shown += !row.hidden; }
    found.textContent = text ? `${shown} of ${rows.length} customers` : "";
  });
})();
