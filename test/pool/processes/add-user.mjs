// Adds one user with the built program's own function, in a process of its own.
import { addUser } from '../../../dist/pool/users-file.js';

const [file, name] = process.argv.slice(2);
await addUser(file, name, 'password');
process.disconnect();
