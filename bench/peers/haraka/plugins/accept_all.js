'use strict';
// Every recipient is welcome, and no name is looked up: there is nobody to ask.
exports.hook_lookup_rdns = (next) => next(OK, 'localhost');
exports.hook_rcpt = (next) => next(OK);
