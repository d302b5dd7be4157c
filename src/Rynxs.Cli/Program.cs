Console.WriteLine("rynxs");
