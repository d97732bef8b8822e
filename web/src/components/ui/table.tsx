/** Tables that become cards on narrow screens: each cell then carries the name of its column. */

import { ArrowDown, ArrowUp } from "lucide-react";
import type { ReactNode } from "react";

export type Column<Row> = {
  key: string;
  title: string;
  /** Numbers stand at the right, under each other. */
  numeric?: boolean;
  cell: (row: Row) => ReactNode;
  /** Where rows can be ordered by this column: how they are now, and what a click on its head does. */
  sort?: { order: "ascending" | "descending" | "none"; onSort: () => void };
};

export function Table<Row>({
  columns,
  rows,
  rowKey,
  caption,
}: {
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string;
  caption: string;
}) {
  return (
    <div className="overflow-x-auto">
      <table className="w-full border-collapse text-[13px] max-sm:block">
        <caption className="sr-only">{caption}</caption>
        <thead className="max-sm:sr-only">
          <tr className="border-b border-line">
            {columns.map((column) => (
              <th
                key={column.key}
                scope="col"
                aria-sort={column.sort?.order}
                className={`label px-3 py-2 font-medium first:pl-5 last:pr-5 ${column.numeric ? "text-right" : "text-left"}`}
              >
                {column.sort ? <SortHead column={column} sort={column.sort} /> : column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="max-sm:block">
          {rows.map((row) => (
            <tr
              key={rowKey(row)}
              className="border-b border-line last:border-0 hover:bg-raised max-sm:flex max-sm:flex-col max-sm:gap-1.5 max-sm:px-4 max-sm:py-3"
            >
              {columns.map((column) => (
                <td
                  key={column.key}
                  data-title={column.title}
                  className={`px-3 py-2 align-middle sm:first:pl-5 sm:last:pr-5 max-sm:flex max-sm:items-center max-sm:justify-between max-sm:gap-4 max-sm:p-0 max-sm:before:text-ink-soft max-sm:before:content-[attr(data-title)] ${column.numeric ? "text-right" : ""}`}
                >
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function SortHead({
  column: { title, numeric },
  sort,
}: {
  column: { title: string; numeric?: boolean };
  sort: NonNullable<Column<never>["sort"]>;
}) {
  const Icon = sort.order === "descending" ? ArrowDown : ArrowUp;
  return (
    <>
      {/* Cards have no heads to click on, so they must not be reached by the Tab key either. */}
      <span className="sm:hidden">{title}</span>
      <button
        type="button"
        onClick={sort.onSort}
        className={`label -mx-1.5 inline-flex items-center gap-1 rounded px-1.5 py-1 hover:text-ink max-sm:hidden ${numeric ? "flex-row-reverse" : ""}`}
      >
        {title}
        <Icon className={`size-3 ${sort.order === "none" ? "invisible" : ""}`} aria-hidden="true" />
      </button>
    </>
  );
}
