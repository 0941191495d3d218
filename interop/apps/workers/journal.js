// How an application tells its scenario what it did, and waits for it: journal.py for Node.

const fs = require('node:fs');
const path = require('node:path');

exports.write = (...words) => fs.appendFileSync(process.env.JOURNAL, `${words.join(' ')}\n`);

exports.waitFor = async (name) => {
    while (!fs.existsSync(path.join(process.env.FOLDER, name))) {
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
};
