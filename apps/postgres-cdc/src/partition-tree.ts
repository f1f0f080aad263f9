/**
 * SQL: a table and all that are its partitions, down to the leaves, as `oid`. `pg_partition_tree` would wait for the lock of
 * each, and somebody may keep one of them to himself for hours.
 *
 * @param root SQL of the table's OID.
 */
export const partitionTree = (root: string): string => `(
  WITH RECURSIVE tree(oid) AS (
    SELECT ${root}
    UNION ALL
    SELECT i.inhrelid FROM tree t JOIN pg_catalog.pg_class r ON r.oid = t.oid AND r.relkind = 'p'
      JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid AND NOT i.inhdetachpending)
  SELECT oid FROM tree)`;
