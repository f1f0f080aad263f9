export { endedOrders, OrderBook, refuseOrders, type OrdersTold } from './order-book.js';
