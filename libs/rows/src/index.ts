export { endedOrders, OrderBook, refuseOrders, type OrdersTold } from './order-book.js';
export { Pace } from './pace.js';
