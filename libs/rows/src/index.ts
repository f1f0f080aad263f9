export { endedOrders, OrderBook, refuseOrders, type OrdersTold } from './order-book.js';
export { Pace, type Allowance } from './pace.js';
export { Finished, TABLES_SHOWN } from './tables-shown.js';
