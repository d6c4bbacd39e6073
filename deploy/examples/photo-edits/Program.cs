using System.Globalization;
using OrleansFs.Client;
using OrleansFs.Model;
using PhotoEdits;

// photo-edits CONN [--copy NAME] COMMAND: see README.md.
if (args.Length < 2)
    return Usage();
var arguments = new Queue<string>(args);
string cluster = arguments.Dequeue();
var options = new VolumeClientOptions { ConnectTimeout = TimeSpan.FromMinutes(1) };
if (arguments.Peek() == "--copy")
{
    arguments.Dequeue();
    options = options with { Copy = CopyName.Parse(arguments.Dequeue()) };
}
try
{
    await using var volume = await VolumeClient.ConnectAsync(cluster, options);
    var library = new Library(volume);
    switch (arguments.Dequeue())
    {
        case "add" when arguments.Count == 1:
            Console.WriteLine(await library.AddAsync(arguments.Dequeue()));
            return 0;
        case "edit" when arguments.Count >= 3:
            string author = arguments.Dequeue();
            var original = BlockHash.Parse(arguments.Dequeue());
            string operation = arguments.Dequeue();
            int value = arguments.Count > 0 ? int.Parse(arguments.Dequeue(), CultureInfo.InvariantCulture) : 0;
            long? parent = arguments.Count > 0 ? long.Parse(arguments.Dequeue(), CultureInfo.InvariantCulture) : null;
            Console.WriteLine(await library.EditAsync(new Edit(original, operation, value, author, parent)));
            return 0;
        case "render" when arguments.Count == 1:
            foreach (string name in await library.RenderAsync(arguments.Dequeue()))
                Console.WriteLine(name);
            return 0;
        default:
            return Usage();
    }
}
catch (Exception e) when (e is VolumeConnectionException or LibraryException or FormatException or IOException)
{
    Console.Error.WriteLine($"photo-edits: {e.Message}");
    return 1;
}

static int Usage()
{
    Console.Error.WriteLine("photo-edits CONN [--copy NAME] add FILE.ppm | edit AUTHOR ORIGINAL OPERATION [VALUE [PARENT]] | render FOLDER");
    return 1;
}
